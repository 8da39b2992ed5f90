//! What the tools of an agent ask of its tree: spawns, mail, interrupts, lists.

use std::sync::Arc;

use sapwood_mailbox::{Lane, Mailbox};
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Body, Fork, Sender, Spawn, ThreadSettings};
use sapwood_protocol::{AgentPath, ThreadId};
use sapwood_rollout::OpenError;
use sapwood_supervisor::core::Need;
use serde_json::json;

use crate::agent::Agent;
use crate::agent::effect::Ask;
use crate::agent::fork::Inherited;
use crate::agent::input::{Answer, Input, Interrupter};
use crate::agent::lines::{NewAgent, accepted_mail};
use crate::agent::turn::CallState;
use crate::fold;
use crate::seat::{AgentStatus, Message, Seat};

use super::Tree;

type Done = Result<(String, Option<(ThreadId, AgentPath)>), String>;

impl Tree {
    /// Answers a tool that acts on other agents, called by `agent`, who occupies the seat `me`.
    pub fn ask(&self, me: &Seat, ask: Ask, agent: &Agent) -> Answer {
        let answer = match ask {
            Ask::Spawn { spawn, message, n, turn, settings, only_find } => {
                if only_find && self.seat(spawn.child).is_none() {
                    return Answer::Never;
                }
                let body = Body::Mail { kind: MailKind::NewTask, text: message, turn, outcome: None };
                self.spawn(me, agent, &spawn, n, body, settings.as_deref()).map(|()| {
                    let output = json!({"task_name": spawn.path}).to_string();
                    (output, Some((spawn.child, spawn.path)))
                })
            }
            Ask::Mail { target, kind, text, n, turn } => {
                let body = Body::Mail { kind, text, turn, outcome: None };
                self.mail(me, &target, kind, n, body)
            }
            Ask::Interrupt { target } => self.interrupt_agent(me, &target),
            Ask::List { prefix } => self.list(me, prefix.as_deref()),
        };
        match answer {
            Ok((output, agent)) => Answer::Done { output, agent },
            Err(text) => Answer::Refused(text),
        }
    }

    fn spawn(
        &self,
        me: &Seat,
        agent: &Agent,
        spawn: &Spawn,
        n: u64,
        body: Body,
        settings: Option<&ThreadSettings>,
    ) -> Result<(), String> {
        let Spawn { child, path, .. } = spawn;
        let child = *child;
        if self.seat(child).is_some() {
            return Ok(());
        }
        let failed = |why: String| format!("collab spawn failed: {why}");
        let fork = match spawn.fork {
            Some(fork) => Some(self.inherited(agent, spawn, fork).map_err(|error| failed(error.to_string()))?),
            None => None,
        };
        let nickname = {
            let mut names = self.names.lock();
            if names.by_path.contains_key(path) {
                return Err(format!("agent path `{path}` already exists"));
            }
            let max = self.settings.max_agents;
            if names.by_path.len() >= max {
                return Err(failed(format!("agent thread limit reached ({max} agents in this tree)")));
            }
            // Reserved: two spawns of one name, and exactly one wins.
            names.by_path.insert(path.clone(), child);
            names.nicknames.choose(self.ids.lock().bits())
        };
        let from = Sender { thread: me.thread, path: me.path.clone(), n };
        let first = accepted_mail(from, true, body);
        let new = NewAgent {
            thread: child,
            session: self.session,
            path,
            parent: Some(me.thread),
            nickname: Some(&nickname),
            cwd: &me.cwd,
            fork: fork.as_ref(),
            settings,
            first: Some(&first),
        };
        let made = Mailbox::reserve(&me.mailbox, Lane::Mail, 0)
            .map_err(|full| failed(format!("you have too much unread mail: {full}")))
            .and_then(|permit| Ok((permit, self.make(&new).map_err(|error| failed(error.to_string()))?)));
        match made {
            Ok((permit, seat)) => {
                seat.gate.lock().permit = Some(permit);
                Ok(())
            }
            Err(why) => {
                self.names.lock().by_path.remove(path);
                Err(why)
            }
        }
    }

    /// What a child inherits. While its spawner waits for it, nothing comes behind the end of it, and the spawner's history in
    /// memory is the one; else it is read again.
    fn inherited(&self, agent: &Agent, spawn: &Spawn, fork: Fork) -> Result<Inherited, OpenError> {
        let call = agent.turn.as_ref().and_then(|turn| turn.call(&spawn.call));
        if call.is_some_and(|call| matches!(call.state, CallState::Spawning(_))) {
            return Ok(Inherited::of(agent, fork));
        }
        Ok(Inherited::of(&fold::below(&*self.journal, agent.identity().thread, fork.end)?, fork))
    }

    fn mail(&self, me: &Seat, target: &str, kind: MailKind, n: u64, body: Body) -> Done {
        let seat = self.find(me, target)?;
        if kind.wakes() && seat.path.is_root() {
            return Err("Follow-up tasks can't target the root agent".into());
        }
        if let Some(AgentStatus::Errored(why)) = seat.look(|view| view.out_of_service.then(|| view.status.clone())) {
            return Err(format!("collab tool failed: `{}` is out of service and reads no mail. {why}", seat.path));
        }
        if kind.wakes() {
            self.reserve_report(&seat)?;
        }
        let from = Sender { thread: me.thread, path: me.path.clone(), n };
        let accepted = accepted_mail(from, kind.wakes(), body);
        self.admit(&seat, accepted, None).map_err(|error| format!("collab tool failed: {error}"))?;
        Ok((String::new(), Some((seat.thread, seat.path.clone()))))
    }

    fn interrupt_agent(&self, me: &Seat, target: &str) -> Done {
        let seat = self.find(me, target)?;
        if seat.path.is_root() {
            return Err("root is not a spawned agent".into());
        }
        if seat.thread == me.thread {
            return Err("an agent cannot interrupt itself; return your result and let the parent interrupt you if \
                        needed"
                .into());
        }
        let view = seat.view();
        if let Some(turn) = view.turn {
            self.interrupt(&seat, turn, Interrupter::Agent(me.thread));
        }
        let output = json!({"previous_status": view.status}).to_string();
        Ok((output, Some((seat.thread, seat.path.clone()))))
    }

    /// Interrupts one turn of an agent, and no other.
    pub fn interrupt(&self, seat: &Seat, turn: sapwood_protocol::TurnId, by: Interrupter) {
        // One key: the newest word about the newest turn replaces an older one that nobody has taken yet.
        let message = Message::Input(Input::Interrupt { turn, by });
        if let Err(refused) = seat.mailbox.coalesce(Lane::Interrupt, std::num::NonZeroU64::MIN, 0, message) {
            tracing::warn!(agent = %seat.path, refused = %refused.refused, "an interrupt was refused");
        }
        self.wake(seat.thread, Need::NoSlot);
    }

    fn list(&self, me: &Seat, prefix: Option<&str>) -> Done {
        let prefix = match prefix.filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => Some(me.path.resolve(prefix).map_err(|error| error.to_string())?),
            None => None,
        };
        let agents: Vec<_> = self
            .seats()
            .iter()
            .filter(|seat| prefix.as_ref().is_none_or(|prefix| prefix.covers(&seat.path)))
            .map(|seat| json!({"agent_name": seat.path, "agent_status": seat.view.lock().status}))
            .collect();
        Ok((json!({"agents": agents}).to_string(), None))
    }

    /// The agent that `target` means when `me` says it: a thread id, or a path.
    fn find(&self, me: &Seat, target: &str) -> Result<Arc<Seat>, String> {
        if let Ok(thread) = target.parse::<ThreadId>() {
            return self.seat(thread).ok_or_else(|| format!("agent with id {thread} not found"));
        }
        let path = me.path.resolve(target).map_err(|error| error.to_string())?;
        let thread = self.names.lock().by_path.get(&path).copied();
        thread.and_then(|thread| self.seat(thread)).ok_or_else(|| format!("live agent path `{path}` not found"))
    }
}
