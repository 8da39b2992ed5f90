//! The frame of a request: all of it but the history, in parts that requests, agents and trees share.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use sapwood_model::Body;
use sapwood_protocol::SessionId;
use sapwood_protocol::ids::base_instructions_id;
use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::own::Manner;
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::history::{History, item_json};
use super::manner::Works;
use super::prompt::{Member, tools};
use super::settings::Settings;
use super::state::{Agent, Identity};

/// Parts of requests that trees have in common, each kept once. Most trees of a process offer the same tools.
#[derive(Debug, Default)]
pub struct Texts(Mutex<HashSet<Bytes>>);

impl Texts {
    /// The text, which is kept while somebody else has it.
    fn share(&self, text: String) -> Bytes {
        let mut kept = self.0.lock();
        if let Some(kept) = kept.get(text.as_bytes()) {
            return kept.clone();
        }
        kept.retain(|text| !text.is_unique());
        let text = Bytes::from(text.into_bytes().into_boxed_slice());
        kept.insert(text.clone());
        text
    }
}

/// What the requests of all agents of a tree have in common: made when the first one asks, then shared.
#[derive(Debug, Default)]
pub struct Frames {
    texts: Arc<Texts>,
    instructions: OnceLock<Bytes>,
    /// The tools without and with those that act on other agents.
    tools: [OnceLock<Bytes>; 2],
    /// Of the root, which asks people, and has the tools of its client.
    tools_of_root: OnceLock<Bytes>,
    end: OnceLock<Bytes>,
}

impl Frames {
    /// Those of a tree that shares what it can with other trees.
    pub fn sharing(texts: Arc<Texts>) -> Self {
        Self { texts, ..Self::default() }
    }

    fn instructions(&self, base: &str, settings: &Settings) -> Bytes {
        // From the text to the end of its item.
        let shared = || self.texts.share(format!("{}{ITEM_END}", Value::from(base)));
        if *base == *settings.base_instructions { self.instructions.get_or_init(shared).clone() } else { shared() }
    }

    fn tools(&self, team: Member<'_>, settings: &Settings) -> Bytes {
        let kept = match team.client {
            Some(_) => &self.tools_of_root,
            None => &self.tools[usize::from(team.collaborates)],
        };
        let shared = || self.texts.share(format!(r#"],"tools":{}"#, Value::Array(tools(team, settings))));
        kept.get_or_init(shared).clone()
    }

    fn end(&self, session: SessionId) -> Bytes {
        let end = || {
            format!(
                r#","tool_choice":"auto","parallel_tool_calls":true,"store":false,"stream":true,"prompt_cache_key":"{session}"}}"#
            )
        };
        self.end.get_or_init(|| end().into_bytes().into_boxed_slice().into()).clone()
    }
}

/// A request up to its first item: what is asked of the model beside the input.
fn request_head(asked: Asked<'_>, works: Works<'_>, schema: Option<&str>, settings: &Settings) -> String {
    let mut head = Map::new();
    head.insert("model".into(), json!(asked.model));
    let mut reasoning = Map::new();
    reasoning.extend(asked.effort.map(|effort| ("effort".into(), json!(effort))));
    reasoning.extend(works.summary().map(|summary| ("summary".into(), json!(summary))));
    if !reasoning.is_empty() {
        head.insert("reasoning".into(), reasoning.into());
    }
    let mut text = Map::new();
    text.extend(settings.verbosity.as_ref().map(|verbosity| ("verbosity".into(), json!(verbosity))));
    // It was parsed when it was read.
    if let Some(schema) = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok()) {
        let format = json!({"type": "json_schema", "name": "codex_output_schema", "schema": schema, "strict": true});
        text.insert("format".into(), format);
    }
    if !text.is_empty() {
        head.insert("text".into(), text.into());
    }
    head.extend(works.service_tier().map(|tier| ("service_tier".into(), json!(tier))));
    head.insert("include".into(), json!(["reasoning.encrypted_content"]));
    let head = Value::Object(head).to_string();
    format!("{},\"input\":[", &head[..head.len() - 1])
}

/// What follows the text of a message with one part.
const ITEM_END: &str = "}]}";

/// The parts of a request that do not change during a turn.
#[derive(Clone, Debug)]
pub struct Frame {
    model: Arc<str>,
    effort: Option<Arc<str>>,
    manner: Option<Arc<Manner>>,
    schema: Option<Arc<str>>,
    head: Bytes,
    instructions: Bytes,
    tools: Bytes,
    end: Bytes,
}

impl Frame {
    /// The frame of the requests of one agent, which shares what it can with the other agents of its tree. The item of its
    /// base instructions is named after the thread that it has them of.
    pub fn new(
        frames: &Frames,
        agent: &Agent,
        base: &str,
        asked: Asked<'_>,
        works: Works<'_>,
        settings: &Settings,
    ) -> Self {
        let Identity { instructions_of: thread, session, path, .. } = agent.identity();
        let (manner, schema) = Self::of_turn(agent);
        let of_run = settings.output_schema.as_deref().filter(|_| path.is_root());
        let said = schema.map(AsRef::as_ref).or(of_run);
        let first = item_json(&Item::text(base_instructions_id(*thread), Role::Developer, ""));
        let empty = [b"\"\"", ITEM_END.as_bytes()].concat();
        let first = first.strip_suffix(empty.as_slice()).expect("a message ends with its text");
        let head = request_head(asked, works, said, settings);
        let head = [head.as_bytes(), first].concat();
        let instructions = frames.instructions(base, settings);
        let client = path.is_root().then(|| &*agent.identity().client_tools);
        let team = Member { collaborates: path.depth() < settings.max_depth, client };
        let (tools, end) = (frames.tools(team, settings), frames.end(*session));
        let (model, effort) = (Arc::clone(asked.model), asked.effort.cloned());
        let (manner, schema) = (manner.cloned(), schema.cloned());
        Self { model, effort, manner, schema, head: head.into(), instructions, tools, end }
    }

    /// What the open turn says of it.
    fn of_turn(agent: &Agent) -> (Option<&Arc<Manner>>, Option<&Arc<str>>) {
        let turn = agent.turn.as_ref();
        let asking = turn.and_then(|turn| turn.asking.as_ref()).unwrap_or(&agent.asking);
        (asking.manner.as_ref(), turn.and_then(|turn| turn.output_schema.as_ref()))
    }

    /// True if the requests of the agent ask this still.
    pub fn asks(&self, agent: &Agent, asked: Asked<'_>) -> bool {
        let same = |own: Option<&Arc<Manner>>| match (own, &self.manner) {
            (Some(own), Some(ours)) => Arc::ptr_eq(own, ours) || own == ours,
            (own, ours) => own.is_none() && ours.is_none(),
        };
        let (manner, schema) = Self::of_turn(agent);
        self.model == *asked.model
            && self.effort.as_ref() == asked.effort
            && self.schema.as_ref() == schema
            && same(manner)
    }

    /// The body of a request with this history.
    pub fn body(&self, history: &History) -> Body {
        let prompt = history.prompt();
        let mut slices = Vec::with_capacity(2 * prompt.len() + 4);
        slices.push(self.head.clone());
        slices.push(self.instructions.clone());
        for item in prompt {
            slices.push(Bytes::from_static(b","));
            slices.push(item);
        }
        slices.push(self.tools.clone());
        slices.push(self.end.clone());
        Body::new(slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_json_and_its_items_are_shared() {
        let meta = r#"{"timestamp":"2026-11-21T00:00:00.000Z","ordinal":0,"type":"session_meta","payload":{"id":"01a1fb6a-a76e-71a2-bd2a-94a0af49bbef","cwd":"/"}}"#;
        let agent = Agent::fold([sapwood_protocol::Line::from_bytes(Bytes::from_static(meta.as_bytes()))]);
        let (texts, settings) = (Arc::new(Texts::default()), Settings::default());
        let works = Works::by(None, "/", &settings);
        let asked = Asked { provider: &settings.provider, model: &settings.model, effort: None };
        // Of a tree of its own each.
        let frame = |base| Frame::new(&Frames::sharing(Arc::clone(&texts)), &agent, base, asked, works, &settings);
        let (ours, again) = (frame(&settings.base_instructions), frame(&settings.base_instructions));
        let shared = |frame: &Frame| (frame.instructions.as_ptr(), frame.tools.as_ptr());
        assert_eq!(shared(&ours), shared(&again));
        drop((ours, again));
        let frame = frame("You are a \"test\" agent.");
        assert_eq!(texts.0.lock().len(), 2, "what nobody has is not kept");
        let mut history = History::default();
        let json = Bytes::from_static(br#"{"type":"message","id":"m","role":"user","content":[]}"#);
        history.push_json(json.clone(), &sapwood_protocol::item::ItemView::parse(&json).unwrap());
        let body = frame.body(&history);
        let value: Value = serde_json::from_slice(&body.concat()).unwrap();
        assert_eq!(value["input"].as_array().unwrap().len(), 2);
        assert_eq!(value["input"][0]["content"][0]["text"], "You are a \"test\" agent.");
        let tools = value["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        let expected =
            "exec_command write_stdin update_plan request_user_input request_permissions apply_patch collaboration";
        assert_eq!(names.join(" "), expected);
        assert_eq!(tools.last().unwrap()["tools"].as_array().unwrap().len(), 6);
        assert_eq!(body.len(), body.concat().len());
        assert!(body.slices().iter().any(|slice| slice.as_ptr() == json.as_ptr()));
    }
}
