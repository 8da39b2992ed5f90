//! The model of a recording as a server. Its answers come in the order they were recorded: each is held until all that
//! the recording has before it has happened here too, requests and answers. So no run depends on who is faster.

use std::sync::{Arc, Mutex, MutexGuard};

use sapwood_testkit::sse::{Event, Reply, Tokens};
use sapwood_testkit::{Answer, Gate, Received};

use super::fixture::{self, Fixture};

/// All answers of a recording.
pub struct Replay(Mutex<Vec<Recorded>>);

/// One request and its answer, and how far they are.
struct Recorded {
    agent: String,
    answer: fixture::Answer,
    gate: Gate,
    asked: bool,
    sent: bool,
}

impl Recorded {
    /// True if what the recording has before `at` has happened.
    fn is_past(&self, at: u64) -> bool {
        (self.asked || self.answer.since >= at) && (self.sent || self.answer.at >= at)
    }

    fn events(&self) -> Vec<Event> {
        let usage = self.answer.usage;
        let tokens = Tokens {
            input: usage.input_tokens,
            cached: usage.cached_input_tokens,
            output: usage.output_tokens,
            reasoning: usage.reasoning_output_tokens,
        };
        let reply = Reply::new(&self.answer.id).tokens(tokens);
        self.answer.items.iter().cloned().fold(reply, Reply::item).completed()
    }
}

impl Replay {
    /// The model of this recording.
    pub fn of(fixture: &Fixture) -> Arc<Self> {
        let of = |thread| {
            let agent = fixture.path(thread).to_string();
            let new =
                move |answer| Recorded { agent: agent.clone(), answer, gate: Gate::new(), asked: false, sent: false };
            fixture.answers(thread).into_iter().map(new)
        };
        Arc::new(Self(Mutex::new(fixture.rollouts.keys().copied().flat_map(of).collect())))
    }

    /// What it says to the next request of an agent.
    pub fn answer(self: &Arc<Self>, request: &Received) -> Answer {
        let mut all = self.all();
        let agent = request.agent_name();
        let Some(n) = all.iter().position(|recorded| recorded.agent == agent && !recorded.asked) else {
            return Answer::error(400, "invalid_request_error", "it asks more often than it did in the recording");
        };
        all[n].asked = true;
        let answer = Answer::events(all[n].events()).held(&all[n].gate).keeping(Sent(Arc::clone(self), n));
        open_what_is_due(&all);
        answer
    }

    fn all(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.0.lock().expect("nobody panics under it")
    }
}

fn open_what_is_due(all: &[Recorded]) {
    let is_due = |due: &&Recorded| all.iter().all(|recorded| recorded.is_past(due.answer.at));
    all.iter().filter(is_due).for_each(|due| due.gate.open());
}

/// Kept by an answer until it was sent.
struct Sent(Arc<Replay>, usize);

impl Drop for Sent {
    fn drop(&mut self) {
        let mut all = self.0.all();
        all[self.1].sent = true;
        open_what_is_due(&all);
    }
}
