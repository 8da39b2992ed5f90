//! The tree on the screen while a run goes on: when it is drawn, and from what.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Signal as Kill, getpid, kill_process};
use sapwood_actors::seat::Seat;
use sapwood_actors::service::HeldUp;
use sapwood_protocol::{AgentPath, Millis, ThreadId};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::draw::{self, Line, Picture, Size};
use super::model::{Facts, Model};
use super::screen;
use super::style::Style;
use crate::output::{Output, Piece};
use crate::watch::Seen;

/// The least time between two frames: more than ten a second are for nobody.
const GAP: Duration = Duration::from_millis(100);
/// After this time the clocks in the frame are old.
const OLD: Duration = Duration::from_secs(1);

/// Draws the tree of one run.
pub struct Live {
    model: Model,
    seats: BTreeMap<AgentPath, Arc<Seat>>,
    style: Style,
    start: Millis,
    /// The last frame that was drawn.
    frame: Vec<Line>,
    drawn: Instant,
    /// Something happened since.
    is_old: bool,
    resized: Signal,
    suspended: Signal,
}

impl Live {
    /// For a run that began at `start`, if there is a terminal to draw on. With `--json` the terminal must not be that of
    /// stdout too.
    pub fn open(style: Style, start: Millis, json: bool) -> Option<Self> {
        let can_draw = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        if !can_draw || !io::stderr().is_terminal() || json && io::stdout().is_terminal() {
            return None;
        }
        // Without these signals the tree would be in the way: then there are only lines.
        let resized = signal(SignalKind::window_change()).ok()?;
        let suspended = signal(SignalKind::from_raw(Kill::TSTP.as_raw())).ok()?;
        Some(Self {
            model: Model::default(),
            seats: BTreeMap::new(),
            style,
            start,
            frame: Vec::new(),
            drawn: Instant::now(),
            is_old: true,
            resized,
            suspended,
        })
    }

    /// Takes note of something that was seen.
    pub fn see(&mut self, seen: &Seen) {
        self.is_old = true;
        self.model.see(&seen.seat.path, &seen.what);
        if !self.seats.contains_key(&seen.seat.path) {
            self.seats.insert(seen.seat.path.clone(), Arc::clone(&seen.seat));
        }
    }

    /// Returns when a frame is to be drawn.
    pub async fn due(&mut self, output: &Output) {
        loop {
            let at = self.drawn + if self.is_old { GAP } else { OLD };
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => return,
                _ = self.resized.recv() => self.is_old = true,
                _ = self.suspended.recv() => {
                    suspend();
                    output.forget();
                    (self.is_old, self.frame) = (true, Vec::new());
                }
            }
        }
    }

    /// Draws the tree as it is now, if that differs from what is on the screen.
    pub fn draw(&mut self, now: Millis, held_up: &BTreeMap<ThreadId, HeldUp>, output: &Output) {
        (self.drawn, self.is_old) = (Instant::now(), false);
        let frame = draw::frame(&self.picture(now, held_up), screen::size(), self.style);
        if frame != self.frame {
            self.frame.clone_from(&frame);
            output.draw(frame);
        }
    }

    /// The last form of the tree: nobody works any more.
    pub fn last(self, now: Millis) -> Piece {
        let Size { columns, .. } = screen::size();
        Piece::Last(draw::last(&self.picture(now, &BTreeMap::new()), columns, self.style))
    }

    fn picture(&self, now: Millis, held_up: &BTreeMap<ThreadId, HeldUp>) -> Picture {
        let rows = self.seats.iter().map(|(path, seat)| {
            let facts = seat.look(|view| Facts::of(view, held_up.get(&seat.thread).copied()));
            self.model.row(path, &facts, now)
        });
        Picture { rows: rows.collect(), elapsed: now.since(self.start) }
    }
}

/// Stops the program as the terminal's user wants it, and returns when it goes on.
fn suspend() {
    screen::restore();
    // It cannot be refused: we are the one who is meant.
    let _ = kill_process(getpid(), Kill::STOP);
}
