//! What a person sees of a tree on a terminal: a line for each agent, drawn again and again at the bottom.
//!
//! `model` turns what is known of the agents into rows, `draw` turns rows into lines of a width, and both are pure;
//! `screen` knows how lines are replaced; `live` looks at the tree, the clock and the size of the terminal.
//!
//! Invariants:
//! - What is drawn is a projection of the seats' views and the supervisor's table at that moment: nothing is kept here that
//!   says that an agent works.
//! - No text of a model, a command or a file gets here but through `text`.
//! - A terminal that is slow gets fewer frames, and holds nobody up. Its cursor is hidden only while a tree is drawn.

pub mod draw;
pub mod live;
pub mod model;
pub mod screen;
pub mod style;
