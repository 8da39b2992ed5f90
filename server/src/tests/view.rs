//! What a client makes of a thread from all that it got.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Of what is said in one go, so much is kept for those who missed it.
const KEPT_TEXT_BYTES: usize = 256 * 1024;

/// A thread as one client has it.
#[derive(Debug, Default)]
pub struct View {
    /// Requests that are not answered.
    asked: BTreeMap<u64, &'static str>,
    is_subscribed: bool,
    turns: Vec<Value>,
    status: Value,
    /// Items that it heard begin.
    heard: BTreeSet<String>,
    was_told_again: bool,
}

impl View {
    /// The view of who has just read it.
    pub fn of(thread: &Value) -> Self {
        let mut this = Self::default();
        this.begins(thread);
        this
    }

    /// It gets the whole thread, and what happens from then on.
    pub fn begins(&mut self, thread: &Value) {
        self.turns = thread["turns"].as_array().cloned().unwrap_or_default();
        self.status = thread["status"].clone();
        self.is_subscribed = true;
        self.heard.clear();
    }

    pub fn asked(&mut self, id: u64, method: &'static str) {
        self.asked.insert(id, method);
    }

    pub fn is_subscribed(&self) -> bool {
        self.is_subscribed
    }

    /// Whether it got a turn for a second time, as one does who did not keep up. Asking resets it.
    pub fn was_told_again(&mut self) -> bool {
        std::mem::take(&mut self.was_told_again)
    }

    /// Takes one message.
    pub fn apply(&mut self, message: Value) -> Result<(), String> {
        let params = &message["params"];
        match message["method"].as_str() {
            None => {
                let id = message["id"].as_u64().ok_or_else(|| format!("an answer to nobody: {message}"))?;
                match self.asked.remove(&id) {
                    Some("thread/resume") if message.get("result").is_some() => {
                        self.begins(&message["result"]["thread"]);
                    }
                    Some("thread/unsubscribe") => self.is_subscribed = false,
                    _ => {}
                }
            }
            Some("thread/status/changed") => self.status = params["status"].clone(),
            Some(_) if !self.is_subscribed => {}
            Some("turn/started") => {
                let turn = &params["turn"];
                match self.turns.iter().position(|known| known["id"] == turn["id"]) {
                    None => self.turns.push(turn.clone()),
                    Some(at) => {
                        self.was_told_again = true;
                        let items = self.turns[at]["items"].take();
                        self.turns[at] = turn.clone();
                        self.turns[at]["items"] = items;
                    }
                }
            }
            Some("turn/completed") => {
                let known = self.turn(&params["turn"]["id"], &message)?;
                let items = known["items"].take();
                *known = params["turn"].clone();
                known["items"] = items;
            }
            Some("item/started") => {
                self.heard.insert(text(&params["item"]["id"]));
                self.set(&message)?;
            }
            Some("item/completed") => self.set(&message)?,
            Some("item/agentMessage/delta") => {
                let item = self.item(&message)?;
                item["text"] = (text(&item["text"]) + &text(&params["delta"])).into();
            }
            Some("item/reasoning/summaryTextDelta") => {
                let index = params["summaryIndex"].as_u64().ok_or("a summary has parts")? as usize;
                let item = self.item(&message)?;
                let parts = item["summary"].as_array_mut().ok_or("a reasoning has a summary")?;
                parts.resize(parts.len().max(index + 1), json!(""));
                parts[index] = (text(&parts[index]) + &text(&params["delta"])).into();
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Status and turns, with as much of each item as is wanted.
    pub fn shows(&self, wanted: impl Fn(&Value) -> Option<Value>) -> Value {
        let turn = |turn: &Value| {
            let mut shown = turn.clone();
            shown["items"] = turn["items"].as_array().into_iter().flatten().filter_map(&wanted).collect();
            shown["itemsView"].take();
            shown
        };
        json!({"status": self.status, "turns": self.turns.iter().map(turn).collect::<Vec<_>>()})
    }

    /// Whether what it has of each item is what was said so far: all of it, or the rest for who came in the middle.
    pub fn follows_all(&self, said: &BTreeMap<String, String>) -> bool {
        said.iter().all(|(id, said)| said.len() > KEPT_TEXT_BYTES || self.follows(id, said))
    }

    fn follows(&self, id: &str, said: &str) -> bool {
        let mut items = self.turns.iter().flat_map(|turn| turn["items"].as_array()).flatten();
        let Some(item) = items.find(|known| known["id"] == id) else { return false };
        let parts = item["summary"].as_array().map(|parts| parts.iter().map(text).collect());
        let has: String = parts.unwrap_or_else(|| text(&item["text"]));
        if self.heard.contains(id) { has == said } else { said.ends_with(&has) }
    }

    /// Whether it has this item.
    pub fn has(&self, item: &Value) -> bool {
        self.turns.iter().flat_map(|turn| turn["items"].as_array()).flatten().any(|known| known["id"] == item["id"])
    }

    fn turn(&mut self, id: &Value, message: &Value) -> Result<&mut Value, String> {
        let known = self.turns.iter_mut().find(|turn| turn["id"] == *id);
        known.ok_or_else(|| format!("a turn that did not begin: {message}"))
    }

    fn set(&mut self, message: &Value) -> Result<(), String> {
        let params = &message["params"];
        let turn = self.turn(&params["turnId"], message)?;
        let items = turn["items"].as_array_mut().ok_or("a turn has items")?;
        match items.iter_mut().find(|known| known["id"] == params["item"]["id"]) {
            Some(known) => *known = params["item"].clone(),
            None => items.push(params["item"].clone()),
        }
        Ok(())
    }

    /// The item that something is added to.
    fn item(&mut self, message: &Value) -> Result<&mut Value, String> {
        let params = &message["params"];
        let turn = self.turn(&params["turnId"], message)?;
        let items = turn["items"].as_array_mut().ok_or("a turn has items")?;
        let item = items.iter_mut().find(|known| known["id"] == params["itemId"]);
        item.ok_or_else(|| format!("more of an item that did not begin: {message}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
