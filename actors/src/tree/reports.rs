//! Reports: what came of a turn, for the one who asked for it, once.

use sapwood_mailbox::{Lane, Mailbox};
use sapwood_protocol::AgentPath;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Body, Outcome, Own, Quarantined, Sender, TurnOrigin};

use crate::agent::effect::Report;
use crate::agent::event::Event;
use crate::agent::lines::accepted_mail;
use crate::agent::{Agent, prompt};
use crate::fold;
use crate::seat::{AgentStatus, Seat};

use super::Tree;

/// The longest report; a longer one keeps head and tail (`design.md` 4).
pub const REPORT_BYTES: usize = 256 * 1024;

impl Tree {
    /// Room for the report of the turn that a task will start.
    pub(crate) fn reserve_report(&self, seat: &Seat) -> Result<(), String> {
        let Some(parent) = seat.parent.and_then(|parent| self.seat(parent)) else {
            return Ok(());
        };
        let mut gate = seat.gate.lock();
        if gate.permit.is_none() {
            let permit = Mailbox::reserve(&parent.mailbox, Lane::Mail, 0)
                .map_err(|full| format!("collab tool failed: `{}` has too much unread mail: {full}", parent.path))?;
            gate.permit = Some(permit);
        }
        Ok(())
    }

    /// True if the requester of an agent has accepted its report `n`, or a newer one.
    pub(crate) fn has_report(&self, me: &Seat, n: u64) -> bool {
        let requester = me.parent.and_then(|parent| self.seat(parent));
        requester.is_some_and(|seat| seat.gate.lock().marks.get(me.thread).is_some_and(|mark| n <= mark))
    }

    /// Delivers the report of a turn to its requester. False: try again later.
    pub fn report(&self, me: &Seat, report: Report) -> bool {
        let mut requester = me.parent.and_then(|parent| self.seat(parent));
        if requester.is_none() {
            // The spawner's rollout is gone: the nearest ancestor that is there adopts the report.
            requester = self.seats().into_iter().rev().find(|s| s.path.covers(&me.path) && s.thread != me.thread);
        }
        let Some(requester) = requester else {
            return true;
        };
        let from = Sender { thread: me.thread, path: me.path.clone(), n: report.n };
        let (kind, text) = (MailKind::FinalAnswer, bounded_report(report.text, &me.path));
        let body = Body::Mail { kind, text, turn: report.turn, outcome: Some(report.outcome) };
        // A report starts no turn of a worker, which reads it with its next task. A root that is idle has nobody
        // else to wake it; but one whose provider failed would only fail again, and waits until it is asked.
        let has_failed = requester.look(|view| view.turn.is_none() && view.outcome == Some(Outcome::Failed));
        let accepted = accepted_mail(from, requester.path.is_root() && !has_failed, body);
        let permit = me.gate.lock().permit.take();
        match self.admit(&requester, accepted, permit) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(agent = %me.path, %error, "a report could not be delivered; it is sent again");
                false
            }
        }
    }

    /// The agent was taken out of service: its rollout says so, and its requester is told once.
    pub fn quarantined(&self, seat: &Seat, reason: &str) {
        let own = Own::Quarantined(Quarantined { reason: reason.to_owned() }).line(self.clock.now());
        let written = {
            let mut gate = seat.gate.lock();
            gate.open(&*self.journal, seat.thread).map(|log| log.admit(&[own]))
        };
        {
            let mut view = seat.view.lock();
            view.status = AgentStatus::Errored(prompt::quarantined(reason).into());
            view.turn = None;
        }
        seat.vacate(None);
        seat.background.close();
        match written.and_then(|_| fold::read(&*self.journal, seat.thread)) {
            Ok(agent) => self.report_quarantine(seat, &agent, reason),
            Err(error) => {
                tracing::error!(agent = %seat.path, %error, "a quarantine could not be written")
            }
        }
        // Only now, with its requester told: the tree may come to rest.
        let mut view = seat.view.lock();
        view.ends_service();
        self.count(&mut view);
        drop(view);
        seat.feed.publish(self.clock.now(), Event::Resync);
    }

    /// Tells the requester of an agent out of service, and first what it was not told before. Told again, it is told once.
    pub(crate) fn report_quarantine(&self, seat: &Seat, agent: &Agent, reason: &str) {
        if seat.parent.is_none() {
            return;
        }
        for due in agent.due().filter_map(|turn| turn.report()) {
            self.report(seat, due);
        }
        let none = || TurnOrigin { turn: "".into(), root_turn: "".into() };
        let turn = agent.turn.as_ref().map_or_else(none, |turn| turn.origin());
        // Numbered by the line that would come next, and never will: nothing follows a quarantine.
        let n = agent.next_number();
        self.report(seat, Report { n, outcome: Outcome::Quarantined, text: prompt::quarantined(reason), turn });
    }
}

/// Cuts the middle out of a report that is too long, and says where the whole of it is.
fn bounded_report(text: String, path: &AgentPath) -> String {
    if text.len() <= REPORT_BYTES {
        return text;
    }
    let note = format!("\n[... the middle of this report was cut; the whole of it is in the history of {path} ...]\n");
    let half = (REPORT_BYTES - note.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{}{note}{}", &text[..head], &text[tail..])
}
