//! Asking the model: the request, its answer, other tries, and the pause over a usage limit.

use std::sync::Arc;

use sapwood_model::{ModelError, Origin, Request, Response};
use sapwood_protocol::item::{ItemView, message_text};
use sapwood_protocol::own::{Own, Paused};
use sapwood_protocol::{Millis, RateLimits};

use super::effect::{Effect, Timer, Want};
use super::event::{Event, Shown};
use super::kept::keep;
use super::lines;
use super::machine::Step;
use super::settings::OnUsageLimit;
use super::turn::Turn;
use super::volatile::Failures;

/// The first pause before another try, and the longest, in milliseconds. Jitter of a fifth is added.
const RETRY_MS: (u64, u64) = (200, 10_000);

/// The shortest pause that ends by itself, in milliseconds: a provider whose clock is behind ours names an end that
/// is past already, and would refuse at once what is asked at once.
pub(super) const SHORTEST_PAUSE_MS: u64 = 60_000;

impl Step<'_, '_> {
    /// True if a pause is over: somebody asked, or said something, or its time came. Else it costs nothing.
    pub(super) fn goes_on(&mut self, paused: &Paused) -> bool {
        let until = paused.until.filter(|_| self.settings.on_usage_limit == OnUsageLimit::Wait);
        self.volatile.resumed |= self.agent.inbox.has_user_text() || until.is_some_and(|until| until <= self.ctx.now);
        if self.volatile.resumed {
            return true;
        }
        self.give_back();
        if let Some(at) = until.filter(|_| !self.volatile.pause_timed) {
            self.volatile.pause_timed = true;
            self.effects.push(Effect::Timer { timer: Timer::Pause, at });
        }
        false
    }

    /// The account has used up what it may use: the turn stays open, and asks again when the limit has ended.
    fn pause_turn(&mut self, turn: &Turn, reason: String, until: Option<Millis>) {
        (self.volatile.resumed, self.volatile.pause_timed) = (false, false);
        self.volatile.failures = Failures::default();
        self.give_back();
        let by_itself = until.is_some() && self.settings.on_usage_limit == OnUsageLimit::Wait;
        let soonest = if by_itself { self.ctx.now.plus(SHORTEST_PAUSE_MS) } else { Millis(0) };
        let until = until.map(|until| until.max(soonest));
        self.batch.own(&Own::Paused(Paused { until, reason: reason.clone() }));
        self.notify(Event::Paused { turn: turn.id.clone(), message: reason, until, by_itself });
    }

    /// Asks the model, after it was told what is pending.
    pub(super) fn ask(&mut self, turn: &Turn) {
        // Whoever is spoken to does not finish the sentence: what a person says makes it another request, and the answer to
        // the one under way is not kept. As a new request, it has all its tries.
        let told = self.agent.inbox.has_user_text();
        if self.volatile.sampling.is_some() && told {
            self.drop_answer(turn);
        }
        if self.volatile.sampling.is_some() || self.volatile.retry_at.is_some() || !self.slot(Want::Resume) {
            return;
        }
        if told {
            self.volatile.failures = Failures::default();
        }
        // A request that is tried again, and one after a pause, is the same request.
        let again = self.volatile.failures.all() > 0 || turn.paused.is_some();
        if turn.response.is_closed() && !again {
            self.batch.token_count(self.agent.usage, turn.usage, self.limits(), self.settings);
        }
        // One request takes a bounded part of the mail: the rest waits for the next.
        let mail = self.agent.inbox.has_mail() && !self.volatile.mail_taken;
        if self.volatile.failures.all() == 0 && (mail || self.agent.inbox.has_user_text()) {
            return self.take_inputs(&turn.origin(), mail, None);
        }
        if self.tell_shells() {
            return;
        }
        self.volatile.mail_taken = false;
        let identity = self.agent.identity();
        let effect = self.ctx.ids.bits();
        let asked = self.machine.asked();
        self.volatile.sampling = Some(effect);
        let origin = Origin {
            session: identity.session,
            thread: identity.thread,
            path: identity.path.clone(),
            parent: identity.parent,
            thread_source: identity.thread_source.clone(),
            turn: turn.id.clone(),
            root_turn: turn.root.clone(),
            parent_turn: turn.parent.clone(),
            turn_started: turn.started,
            history: self.machine.history,
            window: self.agent.window,
            provider: Arc::clone(asked.provider),
            model: Arc::clone(asked.model),
            effort: asked.effort.cloned(),
            sandbox: self.machine.works().sandbox().name(),
            attempt: self.volatile.failures.all() + 1,
        };
        let body = self.machine.frame().body(&self.agent.history);
        self.effects.push(Effect::Sample { effect, request: Request { origin, body } });
    }

    /// The answer that is under way, if one is, is not waited for: what came of it is gone.
    pub(super) fn drop_answer(&mut self, turn: &Turn) {
        if self.volatile.sampling.take().is_some() {
            self.effects.push(Effect::CancelSample);
            self.notify(Event::Dropped { turn: turn.id.clone() });
        }
    }

    pub(super) fn sampled(&mut self, result: Result<Response, ModelError>) {
        let Some(turn) = &self.agent.turn else { return };
        match result {
            Ok(mut response) => {
                keep(&mut response.items);
                self.volatile.failures = Failures::default();
                self.volatile.resumed = false;
                if let Some(limits) = &response.limits {
                    self.volatile.limits = Some(Arc::new((**limits).clone()));
                }
                let snapshots = self.batch.response(self.agent.identity(), turn, self.agent, &response);
                for (json, snapshot) in response.items.iter().zip(snapshots) {
                    if let Some(item) = shown(json) {
                        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
                    }
                }
                let (mut of_turn, mut of_thread) = (turn.usage, self.agent.usage);
                of_turn += response.usage;
                of_thread += response.usage;
                self.notify(Event::Usage { last: response.usage, turn: of_turn, thread: of_thread });
            }
            Err(error) if error.is_transient() && self.may_try_again(&error) => {
                let at = self.ctx.now.plus(self.pause(&error));
                self.volatile.retry_at = Some(at);
                self.effects.push(Effect::Timer { timer: Timer::Retry, at });
                self.notify(Event::Retrying { message: error.to_string(), at });
            }
            Err(ModelError::UsageLimited { message, until }) => {
                self.notify(Event::Dropped { turn: turn.id.clone() });
                self.pause_turn(turn, message, until);
            }
            Err(error) => {
                self.notify(Event::Dropped { turn: turn.id.clone() });
                self.fail(turn, &error);
            }
        }
    }

    /// Counts a failed try. True if another one is allowed.
    fn may_try_again(&mut self, error: &ModelError) -> bool {
        let (failures, retries) = (&mut self.volatile.failures, self.settings.retries);
        let (count, most) = match error {
            ModelError::Cut { .. } => (&mut failures.stream, retries.stream),
            _ => (&mut failures.request, retries.request),
        };
        *count += 1;
        *count <= most
    }

    /// The pause before the next try: doubled each time, with jitter, and never shorter than the provider asks.
    fn pause(&mut self, error: &ModelError) -> u64 {
        let doubled = RETRY_MS.0 << (self.volatile.failures.all() - 1).min(16);
        let pause = doubled.min(RETRY_MS.1);
        let jitter = self.ctx.ids.bits() % (pause / 5).max(1);
        let asked = match error {
            ModelError::Unavailable { retry_after_ms: Some(ms), .. } => *ms,
            _ => 0,
        };
        (pause + jitter).max(asked)
    }

    pub(super) fn limits(&self) -> Option<Arc<RateLimits>> {
        self.volatile.limits.clone()
    }
}

/// An item of the model as it is shown; calls are shown when they begin and end.
fn shown(json: &[u8]) -> Option<Shown> {
    let item = ItemView::parse(json)?;
    let id = item.id.as_ref().map(|id| id.to_string()).unwrap_or_default();
    match &*item.kind {
        "message" => Some(Shown::Agent { id, text: message_text(json)? }),
        "reasoning" => Some(Shown::Reasoning { id, text: lines::reasoning_summary(json).join("\n") }),
        _ => None,
    }
}
