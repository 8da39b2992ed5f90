//! **For:** trees of seats. A *seat* is an identity with a mailbox and whatever its host keeps in
//! it; it belongs to the supervisor. An *incarnation* occupies it, and may crash, restart, sleep or
//! be stopped, while the seat, its messages and its place in the tree stay. The supervisor decides
//! who runs: restarts and quarantine, slots, sleep and wake, shutdown.
//!
//! **Never:** it knows nothing of agents, models, tools or files. It reads no message. It takes no
//! decision outside [`core`], which has no clock, no I/O and no chance; and it uses ractor nowhere
//! outside [`driver`].
//!
//! **Invariants:**
//!
//! - A slot is held if and only if a turn samples, runs a tool, or is being restarted. Grants never
//!   exceed the cap, and are all back at rest. They are counted in one place.
//! - A seat has one incarnation at most. What a replaced one says, acks or asks for has no effect.
//! - A crash ends one incarnation. Its messages are handled by the next one, which is told what its
//!   predecessor died of; its siblings do not notice. Too many crashes quarantine that seat alone,
//!   and its host is told once.
//! - A wake-up is never lost: a message admitted while a seat falls asleep either keeps its
//!   incarnation awake or starts a new one.
//! - Everything is bounded: seats, timers (one a seat), what is queued for the supervisor (one of
//!   each kind an incarnation), and the time a shutdown takes.
//! - The same events give the same actions.
//!
//! # The life of a seat
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use sapwood_mailbox::{Caps, Envelope, Lane, Mailbox};
//! use sapwood_supervisor::core::{Class, Config, Incarnation, Need};
//! use sapwood_supervisor::driver::{Fault, Host, Next, Port, Resident, Seat, Supervisor};
//!
//! /// Its seats hold a diary, which outlives whoever writes it.
//! struct Diaries;
//! type Diary = Mutex<Vec<String>>;
//!
//! struct Writer { seat: Arc<Seat<Diaries>>, inc: Incarnation }
//!
//! impl Host for Diaries {
//!     type Key = u32;
//!     type Message = &'static str;
//!     type Held = Diary;
//!     type Resident = Writer;
//!
//!     fn incarnate(
//!         &self,
//!         seat: &Arc<Seat<Self>>,
//!         inc: Incarnation,
//!         _granted: bool,
//!         culprit: Option<Arc<Envelope<&'static str>>>,
//!         _port: Port<Self>,
//!     ) -> Writer {
//!         if let Some(culprit) = culprit {
//!             seat.held.lock().unwrap().push(format!("died of {}", culprit.msg));
//!         }
//!         Writer { seat: Arc::clone(seat), inc }
//!     }
//!     fn quarantined(&self, _: &Arc<Seat<Self>>, _: &str) {}
//!     fn melted(&self, _: &str) {}
//! }
//!
//! impl Resident for Writer {
//!     type Message = &'static str;
//!     fn load(&mut self) -> Result<(), Fault> { Ok(()) }
//!     fn handle(&mut self, msg: &&'static str) -> Result<(), Fault> {
//!         if *msg == "bad news" && self.inc.0 == 1 {
//!             return Err(Fault::Fatal("cannot bear it".into()));
//!         }
//!         self.seat.held.lock().unwrap().push(format!("{} by {}", msg, self.inc.0));
//!         Ok(())
//!     }
//!     fn granted(&mut self) -> Result<(), Fault> { Ok(()) }
//!     fn batch_done(&mut self) -> Result<Next, Fault> { Ok(Next::MaySleep) }
//!     fn stop(&mut self) {}
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let (tree, task) = Supervisor::start(Arc::new(Diaries), Config::default()).await;
//! let seat = tree.add(Seat {
//!     key: 7,
//!     class: Class::Root,
//!     parent: None,
//!     mailbox: Arc::new(Mailbox::new(Caps::default())),
//!     held: Diary::default(),
//! }).unwrap();
//! for msg in ["good news", "bad news"] {
//!     seat.mailbox.try_send(Lane::User, 9, msg).unwrap();
//!     tree.wake(seat.key, Need::NoSlot); // it sleeps: this incarnates it
//! }
//! # while seat.held.lock().unwrap().len() < 3 { tokio::task::yield_now().await }
//! tree.shutdown().await;
//! task.await.unwrap();
//! assert_eq!(
//!     *seat.held.lock().unwrap(),
//!     ["good news by 1", "died of bad news", "bad news by 2"]
//! );
//! # });
//! ```

pub mod core;
pub mod driver;
