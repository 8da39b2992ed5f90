//! What can go wrong with one answer, and what is to become of the turn that meets it.

use std::collections::HashMap;
use std::sync::Mutex;

use sapwood_testkit::sse::{Event, Reply, error};
use sapwood_testkit::{Answer, Framing, Received};
use serde_json::{Value, json};

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer counts: no request more.
    Heard,
    /// The request is sent again, and then answered.
    Again,
    /// The turn fails, with these words in its message.
    Fails(&'static str),
}

/// One way in which an answer goes wrong, made from the response that should have been.
pub struct Fault {
    pub name: &'static str,
    pub outcome: Outcome,
    /// Agents that can be at work while somebody meets it: few, where what is learned from it slows everybody down.
    pub crowd: usize,
    make: fn(Good) -> Answer,
}

/// The response that should have been.
pub struct Good {
    /// Up to its item, without an end.
    pub reply: Reply,
}

impl Good {
    fn whole(self) -> Answer {
        Answer::events(self.reply.completed())
    }

    fn items(&self) -> Answer {
        Answer::events(self.reply.clone().unfinished())
    }

    /// How many bytes there are up to and with this text.
    fn up_to(&self, text: &str) -> u64 {
        let events = self.reply.clone().completed().into_iter().flat_map(Event::into_bytes);
        let bytes: Vec<u8> = events.collect();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        (at.unwrap_or_else(|| panic!("no {text} in it")) + text.len()) as u64
    }

    /// Inside the item that is coming in.
    fn mid_item(&self) -> u64 {
        self.up_to("response.output_item.added") + 40
    }

    /// Behind the last item, before the end.
    fn after_items(&self) -> u64 {
        self.items().len()
    }
}

/// Says a character of two bytes before what should have been said, to be cut in it.
fn with_words(good: Good) -> (Vec<Event>, u64) {
    let words = "Gr\u{fc}\u{df}e";
    let events = Reply::new("resp_words").message(words, 1).completed();
    let bytes: Vec<u8> = events.iter().cloned().flat_map(Event::into_bytes).collect();
    let at = bytes.windows(2).position(|window| window == "\u{fc}".as_bytes()).unwrap() as u64 + 1;
    drop(good);
    (events, at)
}

fn failed(code: &str, message: &str) -> Answer {
    Answer::events(Reply::new("resp_failed").failed(code, message))
}

fn status(status: u16, kind: &str) -> Answer {
    Answer::error(status, kind, "as the test wants it")
}

const fn fault(name: &'static str, outcome: Outcome, make: fn(Good) -> Answer) -> Fault {
    Fault { name, outcome, crowd: 49, make }
}

const fn limit(name: &'static str, outcome: Outcome, make: fn(Good) -> Answer) -> Fault {
    Fault { name, outcome, crowd: 4, make }
}

use Outcome::{Again, Fails, Heard};

const MEGABYTES_100: u64 = 100_000_000;

/// What is met once, at each point of a response.
pub const ONCE: &[Fault] = &[
    fault("before the head: closed", Again, |_| Answer::nothing()),
    fault("before the head: reset", Again, |_| Answer::reset()),
    fault("before the head: silence", Again, |_| Answer::silence()),
    fault("500", Again, |_| status(500, "server_error")),
    fault("502 in HTML", Again, |_| Answer::body("<html><title>Bad gateway</title></html>").status(502)),
    fault("first event: cut before it", Again, |good| good.whole().cut_after(0)),
    fault("first event: cut in it", Again, |good| good.whole().cut_after(10)),
    fault("first event: reset in it", Again, |good| good.whole().reset_after(10)),
    fault("first event: silence before it", Again, |good| good.whole().stall_after(0)),
    fault("mid-item: cut", Again, |good| {
        let at = good.mid_item();
        good.whole().cut_after(at)
    }),
    fault("mid-item: reset", Again, |good| {
        let at = good.mid_item();
        good.whole().reset_after(at)
    }),
    fault("mid-item: silence", Again, |good| {
        let at = good.mid_item();
        good.whole().stall_after(at)
    }),
    fault("mid-item: cut in a character", Again, |good| {
        let (events, at) = with_words(good);
        Answer::events(events).cut_after(at)
    }),
    fault("mid-item: no JSON", Again, |_| {
        let begun = Reply::new("resp_odd").unfinished();
        Answer::events(begun).then([Event::raw("event: response.output_item.done\ndata: {\"type\":\n\n")])
    }),
    fault("after the item: cut", Again, |good| {
        let at = good.after_items();
        good.whole().cut_after(at)
    }),
    fault("after the item: reset", Again, |good| {
        let at = good.after_items();
        good.whole().reset_after(at)
    }),
    fault("after the item: silence", Again, |good| {
        let at = good.after_items();
        good.whole().stall_after(at)
    }),
    fault("after the item: an end without completed", Again, |good| good.items()),
    fault("after the item: fewer bytes than were promised", Again, |good| {
        good.items().framing(Framing::Claimed(1_000_000))
    }),
    fault("after the item: failed", Again, |good| {
        Answer::events(good.reply.failed("server_error", "as the test wants it"))
    }),
    fault("after the item: error", Again, |good| good.items().then([error("server_error", "as the test wants it")])),
    fault("after the item: incomplete", Again, |good| Answer::events(good.reply.incomplete("max_output_tokens"))),
    fault("after completed: cut", Heard, |good| {
        let answer = good.whole();
        let all = answer.len();
        answer.cut_after(all)
    }),
    fault("after completed: reset", Heard, |good| {
        let answer = good.whole();
        let all = answer.len();
        answer.reset_after(all)
    }),
    fault("after completed: silence", Heard, |good| {
        let answer = good.whole();
        let all = answer.len();
        answer.stall_after(all)
    }),
    fault("after completed: more", Heard, |good| {
        good.whole().then(Reply::new("resp_more").message("more", 1).completed())
    }),
    fault("closed instead of an end", Heard, |good| good.whole().framing(Framing::Close)),
    fault("unknown events", Heard, |good| {
        let unknown = || Event::json(&json!({"type": "response.of_the_future", "item": 7, "response": []}));
        let between = good.reply.completed().into_iter().flat_map(|event| [unknown(), event]);
        Answer::events([Event::raw(": a comment\n\nretry: 5\n\n")]).then(between.collect::<Vec<_>>())
    }),
    fault("every event twice", Heard, |good| {
        let mut events = good.reply.completed();
        let last = events.pop().unwrap();
        Answer::events(events.into_iter().flat_map(|event| [event.clone(), event])).then([last.clone(), last])
    }),
    // Last: what is learned from these slows down whoever asks next.
    fault("429 without a hint", Again, |_| status(429, "rate_limit_exceeded")),
    fault("429 with Retry-After", Again, |_| status(429, "rate_limit_exceeded").header("retry-after", "1")),
    fault("529", Again, |_| status(529, "overloaded_error")),
];

/// What is met whenever it is asked.
pub const ALWAYS: &[Fault] = &[
    fault("always 400", Fails("400"), |_| status(400, "invalid_request_error")),
    fault("always 401", Fails("401"), |_| status(401, "invalid_api_key")),
    fault("always 403", Fails("403"), |_| status(403, "forbidden")),
    fault("always 404", Fails("404"), |_| status(404, "model_not_found")),
    fault("always 500", Fails("500"), |_| status(500, "server_error")),
    limit("always 429", Fails("429"), |_| status(429, "rate_limit_exceeded")),
    fault("HTML in place of a stream", Fails("text/html"), |_| {
        Answer::body("<html><title>Welcome</title></html>").header("content-type", "text/html")
    }),
    fault("a redirect", Fails("redirect"), |_| {
        Answer::body("").status(307).header("location", "http://192.0.2.1/elsewhere")
    }),
    fault("always closed", Fails("gave no answer that can be read"), |_| Answer::nothing()),
    fault("always silent", Fails("did not answer"), |_| Answer::silence()),
    fault("always cut after the item", Fails("stream disconnected"), |good| {
        let at = good.after_items();
        good.whole().cut_after(at)
    }),
    fault("the context window", Fails("context"), |_| failed("context_length_exceeded", "too long for the window")),
    fault("a response without end", Fails("MB"), |good| {
        let begun = good.items();
        begun.repeat(
            Event::json(&json!({"type": "response.output_text.delta", "delta": "more and more"})),
            MEGABYTES_100,
        )
    }),
    fault("an event without end", Fails("MB"), |_| {
        Answer::events([Event::raw("data: {\"type\":\"")]).repeat(Event::raw("x".repeat(1000)), MEGABYTES_100)
    }),
];

impl Fault {
    /// The answer that goes wrong.
    pub fn answer(&self, good: Good) -> Answer {
        (self.make)(good)
    }
}

/// How often each agent asked the same, by what it has heard so far.
#[derive(Default)]
pub struct Tries(Mutex<HashMap<(String, usize), usize>>);

impl Tries {
    /// Counts this request: 0 for the first time that it is asked.
    pub fn count(&self, request: &Received) -> usize {
        let heard = request.input().iter().filter(|item| is_heard(item)).count();
        let mut tries = self.0.lock().unwrap();
        let count = tries.entry((request.agent_name(), heard)).or_default();
        *count += 1;
        *count - 1
    }
}

/// True for what an agent has from earlier answers.
fn is_heard(item: &Value) -> bool {
    item["role"] == "assistant" || item["type"].as_str().is_some_and(|kind| kind.ends_with("_call"))
}
