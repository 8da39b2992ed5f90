//! Where turns stand in the traces of clients (W3C trace context).
//!
//! The turn that a request starts descends from the request's parent. What follows from that turn, later turns and those of other
//! agents, does not: it carries a link, so that no trace goes on for ever. All of it belongs to this process, and no rollout has it.

use std::collections::VecDeque;
use std::fmt;

use parking_lot::Mutex;
use sapwood_protocol::TurnId;
use tracing::{Span, info, info_span};

use crate::agent::Event;
use crate::seat::Seat;

/// Turns of one seat that requests have started and that have yet to begin, at most: more than one waits only where a command of
/// a user comes between.
const PROMISED: usize = 8;

/// What a tracing system may add to a context, at most, in bytes: what W3C has everybody carry.
const STATE_BYTES: usize = 512;

/// A span of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    span: u64,
    state: Option<Box<str>>,
}

/// An id, as W3C writes it.
struct Hex<T>(T);

impl fmt::Display for Hex<u128> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Hex<u64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Parent {
    /// Reads the two headers. Nothing if the first is not of the form; a second that is too long is left out.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let (version, trace, span, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // Later versions may say more.
        let is_known = version != 0xff && (version != 0 || parts.next().is_none());
        let span = u64::try_from(span).ok()?;
        let state = tracestate.filter(|state| !state.is_empty() && state.len() <= STATE_BYTES);
        (is_known && trace != 0 && span != 0).then(|| Self { trace, span, state: state.map(Box::from) })
    }
}

/// The turns of one seat.
#[derive(Default)]
pub(crate) struct Traces(Mutex<Turns>);

#[derive(Default)]
struct Turns {
    promised: VecDeque<(TurnId, Parent)>,
    open: Option<(TurnId, Span)>,
}

impl Traces {
    /// A request starts this turn. The first one that does so counts: true if this is it.
    pub fn promise(&self, turn: &TurnId, parent: Parent) -> bool {
        let mut turns = self.0.lock();
        if turns.promised.iter().any(|(promised, _)| promised == turn) {
            return false;
        }
        if turns.promised.len() >= PROMISED {
            turns.promised.pop_front();
        }
        turns.promised.push_back((turn.clone(), parent));
        true
    }

    /// It does not, after all.
    pub fn forget(&self, turn: &TurnId) {
        self.0.lock().promised.retain(|(promised, _)| promised != turn);
    }

    /// The span of the open turn; that of nothing where none is.
    pub fn span(&self) -> Span {
        self.0.lock().open.as_ref().map_or_else(Span::none, |(_, span)| span.clone())
    }

    /// Follows what is told of the seat. `newest` is the newest request of the tree that a turn began with.
    pub fn follow(&self, seat: &Seat, event: &Event, newest: &Mutex<Option<Parent>>) {
        match event {
            Event::TurnStarted { turn, root, .. } => self.begin(seat, turn, root, newest),
            Event::TurnEnded { turn, outcome, .. } => {
                let ended = self.0.lock().open.take_if(|(open, _)| open == turn);
                if let Some((_, span)) = ended {
                    span.in_scope(|| info!(?outcome, "a turn ended"));
                }
            }
            _ => {}
        }
    }

    fn begin(&self, seat: &Seat, turn: &TurnId, root: &TurnId, newest: &Mutex<Option<Parent>>) {
        let mut turns = self.0.lock();
        let at = turns.promised.iter().position(|(promised, _)| promised == turn);
        let parent = at.and_then(|at| turns.promised.remove(at)).map(|(_, parent)| parent);
        let (thread, agent) = (seat.thread, &seat.path);
        let span = match &parent {
            Some(Parent { trace, span, state }) => info_span!(
                parent: None, "turn", %thread, %agent, %turn, root_turn = %root,
                trace_id = %Hex(*trace), parent_span_id = %Hex(*span), tracestate = state.as_deref()
            ),
            None => match &*newest.lock() {
                Some(Parent { trace, span, .. }) => info_span!(
                    parent: None, "turn", %thread, %agent, %turn, root_turn = %root,
                    link_trace_id = %Hex(*trace), link_span_id = %Hex(*span)
                ),
                None => info_span!(parent: None, "turn", %thread, %agent, %turn, root_turn = %root),
            },
        };
        if parent.is_some() {
            *newest.lock() = parent;
        }
        span.in_scope(|| info!("a turn began"));
        turns.open = Some((turn.clone(), span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_w3c_writes_it() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        let known = Parent { trace: 0x4bf92f3577b34da6a3ce929d0e0e4736, span: 0x00f067aa0ba902b7, state: None };
        assert_eq!((Hex(known.trace).to_string(), Hex(known.span).to_string()), (TRACE.into(), SPAN.into()));
        let zeros = "0".repeat(32);
        // (what comes, whether it is one)
        let table = [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), true),
            (format!("01-{TRACE}-{SPAN}-01-more"), true),
            (format!("00-{TRACE}-{SPAN}-01-more"), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{zeros}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{}-01", &zeros[..16]), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (format!("00-{TRACE}-+{}-01", &SPAN[1..]), false),
            (String::new(), false),
        ];
        for (text, is_one) in table {
            assert_eq!(Parent::read(&text, None), is_one.then(|| known.clone()), "{text}");
        }
        let first = format!("00-{TRACE}-{SPAN}-01");
        let state = |state: &str| Parent::read(&first, Some(state)).unwrap().state;
        assert_eq!(state("a=1,b=2").as_deref(), Some("a=1,b=2"));
        assert_eq!((state(""), state(&"x".repeat(STATE_BYTES + 1))), (None, None));
    }

    #[test]
    fn the_first_request_that_starts_a_turn_is_its_parent() {
        let parent = |span| Parent { trace: 1, span, state: None };
        let traces = Traces::default();
        let turn = TurnId::from("t");
        assert!(traces.promise(&turn, parent(1)));
        assert!(!traces.promise(&turn, parent(2)));
        assert_eq!(traces.0.lock().promised, [(turn.clone(), parent(1))]);
        traces.forget(&turn);
        assert!(traces.0.lock().promised.is_empty());
        for n in 0..PROMISED * 2 {
            assert!(traces.promise(&TurnId::from(n.to_string().as_str()), parent(1)));
        }
        assert_eq!(traces.0.lock().promised.len(), PROMISED);
    }
}
