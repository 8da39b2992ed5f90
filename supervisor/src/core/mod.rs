//! The pure half: data and transitions. No clock, no I/O, no chance, no task; time and the seed of
//! jitter come from outside, and no map is randomly seeded. The same events give the same actions,
//! so it runs under the driver of this crate, in a simulation and in a table test.
//!
//! ```
//! use sapwood_supervisor::core::{Action, Class, Config, Event, Incarnation, Millis, Need, Tree};
//!
//! let mut tree = Tree::new(Config { slots: 1, ..Config::default() });
//! let now = Millis(0);
//! tree.handle(now, Event::Add { seat: "root", class: Class::Root, parent: None });
//! // Input arrives. There is a free slot, so the incarnation starts with it.
//! let inc = Incarnation(1);
//! assert_eq!(
//!     tree.handle(now, Event::Wake { seat: "root", need: Need::NewTurn }),
//!     [Action::Start { seat: "root", inc, granted: true }]
//! );
//! // Its turn ends and it has nothing to do: it is asked to sleep, and its slot is free.
//! tree.handle(now, Event::Started { seat: "root", inc });
//! assert_eq!(tree.handle(now, Event::Idle { seat: "root", inc }), [Action::Sleep { seat: "root", inc }]);
//! assert_eq!(tree.in_use(), 0);
//! ```

mod event;
mod exits;
mod occupancy;
mod phase;
mod shutdown;
mod slots;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod view;

pub use event::{Action, AddError, Event};
pub use phase::{Idle, Phase, Stage, Step, Then};
pub use slots::{Place, Slot};
pub use tree::Tree;
pub use types::{Class, Config, Exit, Incarnation, Intensity, Millis, Need, Shutdown, Ticket, Turn};
pub use view::Row;
