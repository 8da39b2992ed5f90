//! A provider that counts: so many requests a second, so many streams at a time, `429` for the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::json;

use crate::answer::Answer;
use crate::received::Received;

/// What a provider allows, and how much it says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Requests a second. Up to a second's worth is saved up while nobody asks.
    pub per_second: u32,
    /// Answers that may be open at a time.
    pub streams: usize,
    /// A refusal says `retry-after`, in whole seconds.
    pub retry_after: bool,
    /// Every answer says the limit and what is left of it (`x-ratelimit-*-requests`).
    pub headers: bool,
}

/// What such a provider did with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// When.
    pub when: Instant,
    /// Who asked: the path of the agent.
    pub agent: String,
    /// The thread that asked.
    pub thread: String,
    /// Whether it was answered.
    pub allowed: bool,
}

/// The books of such a provider.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    tokens: f64,
    counted: Option<Instant>,
    streams: usize,
    verdicts: Vec<Verdict>,
}

impl Limited {
    /// Wraps what answers, and gives the books that are kept of it.
    pub fn wrap<F>(self, answer: F) -> (impl Fn(&Received) -> Answer + Send + Sync + 'static, Ledger)
    where
        F: Fn(&Received) -> Answer + Send + Sync + 'static,
    {
        let tokens = f64::from(self.per_second);
        let books = Books { tokens, counted: None, streams: 0, verdicts: Vec::new() };
        let ledger = Ledger(Arc::new(Mutex::new(books)));
        let kept = ledger.clone();
        let limited = move |request: &Received| {
            let (allowed, left) = kept.admit(self, request);
            let answer = if allowed { answer(request).keeping(Stream(kept.clone())) } else { self.refusal() };
            if self.headers { self.told(answer, left) } else { answer }
        };
        (limited, ledger)
    }

    fn refusal(self) -> Answer {
        let error =
            json!({"message": "Rate limit reached", "type": "requests", "param": null, "code": "rate_limit_exceeded"});
        let refusal = Answer::json(&json!({ "error": error })).status(429);
        if self.retry_after { refusal.header("retry-after", "1") } else { refusal }
    }

    /// Says the limit, what is left of it, and when all of it is there again.
    fn told(self, answer: Answer, left: f64) -> Answer {
        let missing = (f64::from(self.per_second) - left) / f64::from(self.per_second);
        answer
            .header("x-ratelimit-limit-requests", self.per_second.to_string())
            .header("x-ratelimit-remaining-requests", (left as u64).to_string())
            .header("x-ratelimit-reset-requests", format!("{}ms", (missing * 1e3).ceil()))
    }
}

impl Ledger {
    /// All requests so far, in order.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.books().verdicts.clone()
    }

    /// How many requests were answered, and how many refused.
    pub fn counts(&self) -> (usize, usize) {
        let books = self.books();
        let allowed = books.verdicts.iter().filter(|verdict| verdict.allowed).count();
        (allowed, books.verdicts.len() - allowed)
    }

    /// Answered and refused, by thread.
    pub fn by_thread(&self) -> BTreeMap<String, (usize, usize)> {
        let mut threads: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for Verdict { thread, allowed, .. } in &self.books().verdicts {
            let counts = threads.entry(thread.clone()).or_default();
            if *allowed { counts.0 += 1 } else { counts.1 += 1 }
        }
        threads
    }

    /// Decides about a request, and says how many more may come now.
    fn admit(&self, limits: Limited, request: &Received) -> (bool, f64) {
        let mut books = self.books();
        let rate = f64::from(limits.per_second);
        // Requests are counted in the order in which they are decided, so time may seem to go back by a little.
        let since = books.counted.map_or(0.0, |before| request.when.saturating_duration_since(before).as_secs_f64());
        books.tokens = (books.tokens + since * rate).min(rate);
        books.counted = books.counted.max(Some(request.when));
        let allowed = books.tokens >= 1.0 && books.streams < limits.streams;
        if allowed {
            books.tokens -= 1.0;
            books.streams += 1;
        }
        let (agent, thread) = (request.agent_name(), request.thread().to_owned());
        books.verdicts.push(Verdict { when: request.when, agent, thread, allowed });
        (allowed, books.tokens)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("nobody panics under it")
    }
}

/// One open stream; dropped with its answer.
struct Stream(Ledger);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.books().streams -= 1;
    }
}
