//! One thread, as its clients know it: who looks, what they were told, and what they still wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_actors::agent::Event;
use sapwood_actors::feed::{Bell, News, Subscription};
use sapwood_actors::seat::{Seat, SeatView};
use sapwood_protocol::app::change::Done;
use sapwood_protocol::app::notices::{ServerRequestResolved, ThreadStatusChanged};
use sapwood_protocol::app::settings::{ThreadSettings, ThreadSettingsUpdated};
use sapwood_protocol::app::thread::ThreadStatus;
use sapwood_protocol::app::turn::{Turn, TurnItemsView, TurnStatus};
use sapwood_protocol::asked::{Asked, What};
use sapwood_protocol::{Millis, TurnId};
use sapwood_rollout::Journal;
use serde_json::value::to_raw_value;

use super::looks;
use super::notify::{Voice, notice};
use super::story::{Story, Told};
use crate::connection::{Connection, ConnectionId, Connections, Notification};
use crate::history::{self, Spent};
use crate::requests::{OpenRequests, Question};
use crate::router::Reply;
use crate::rpc::RequestId;

/// The newest turns that are looked at to find what the feed lost, where nobody knows from which one on.
const CAUGHT_UP: usize = 1;

/// One thread of a loaded tree.
pub(crate) struct Watched {
    pub seat: Arc<Seat>,
    subscription: Subscription,
    story: Story,
    voice: Voice,
    subscribers: BTreeMap<ConnectionId, Arc<Connection>>,
    /// Requests to interrupt a turn: answered when it has ended.
    interrupts: Vec<Interrupting>,
    /// Everybody was told that it is there.
    is_announced: bool,
    /// What was open before anybody looked is known.
    is_primed: bool,
    /// Its settings, when last told.
    settings: Option<ThreadSettings>,
}

/// A request to interrupt a turn.
struct Interrupting {
    turn: TurnId,
    reply: Reply,
    /// Clients were told that it began.
    has_begun: bool,
}

/// What the news of a thread need to be told.
pub(crate) struct Teller<'a> {
    pub connections: &'a Connections,
    pub journal: &'a dyn Journal,
    pub now: Millis,
    /// The settings of a thread as they are now.
    pub settings: &'a dyn Fn(&Seat) -> ThreadSettings,
    /// What is asked of clients.
    pub requests: &'a Mutex<OpenRequests<ConnectionId>>,
}

impl Watched {
    /// Looks at a seat, of which nobody was told yet.
    pub fn new(seat: Arc<Seat>, bell: Arc<dyn Bell>, context_window: u64) -> Self {
        let (story, subscription) =
            seat.feed.subscribe(bell, || Story::since(looks::status(&seat), seat.look(|view| view.turn.clone())));
        let thread = seat.thread;
        let voice = Voice { id: thread, name: thread.to_string().into(), context_window };
        let (subscribers, interrupts) = (BTreeMap::new(), Vec::new());
        Self {
            seat,
            subscription,
            story,
            voice,
            subscribers,
            interrupts,
            is_announced: false,
            is_primed: false,
            settings: None,
        }
    }

    /// Tells what has happened since the last look.
    pub fn tell(&mut self, teller: &Teller<'_>) {
        if !std::mem::replace(&mut self.is_primed, true) {
            // What a dead process had asked is open still.
            let (turn, asks) = self.seat.look(|view| (view.turn.clone(), view.asks.clone()));
            for (turn, asked) in turn.iter().cycle().cloned().zip(asks) {
                let told = self.story.tell(teller.now, Event::Asked { turn, asked });
                self.say(told, teller);
            }
        }
        while let Some(news) = self.subscription.next(&self.seat.feed) {
            let told = match news {
                News::Change(change) if change.event == Event::Resync => self.catch_up(teller),
                News::Change(change) => self.story.tell(change.at, change.event),
                News::Lagged { .. } => self.catch_up(teller),
            };
            self.say(told, teller);
        }
        self.answer_interrupts(|interrupting, view| {
            // Nobody will begin it any more.
            !interrupting.has_begun && view.next_turn().as_ref() != Some(&interrupting.turn)
        });
    }

    /// What the feed did not say, from the rollout.
    fn catch_up(&mut self, teller: &Teller<'_>) -> Vec<Told> {
        let open = self.seat.look(|view| view.turn.clone());
        if self.story.open().is_none() && self.story.ended().is_none() && open.is_none() {
            return Vec::new();
        }
        match self.newest(teller.journal, None) {
            Ok(turns) => self.story.catch_up(&turns, teller.now),
            Err(error) => {
                tracing::error!(thread = %self.seat.thread, error, "what clients missed cannot be read");
                Vec::new()
            }
        }
    }

    /// The turns from this one on, or from the newest one that was told of if that is older.
    fn newest(&self, journal: &dyn Journal, since: Option<&str>) -> Result<Vec<Turn>, String> {
        let turns = history::read(journal, self.seat.thread).map_err(|error| error.to_string())?;
        let open = self.seat.look(|view| view.turn.clone());
        let mut all = turns.all(TurnItemsView::Full, open.as_ref());
        if self.story.open().is_none() && self.story.ended() == Some(None) {
            return Ok(all);
        }
        let told = self.story.open().or(self.story.ended().flatten()).map(TurnId::as_str);
        let find = |turn: &str| all.iter().position(|known| known.id.as_str() == turn);
        let from = since.into_iter().chain(told).filter_map(find).min();
        let from = from.unwrap_or(all.len().saturating_sub(CAUGHT_UP));
        Ok(all.split_off(from))
    }

    fn say(&mut self, told: Vec<Told>, teller: &Teller<'_>) {
        for told in told {
            if let Told::TurnStarted(turn) = &told {
                let begun = self.interrupts.iter_mut().filter(|interrupting| interrupting.turn == turn.id);
                begun.for_each(|interrupting| interrupting.has_begun = true);
            }
            match told {
                Told::Status(status) => {
                    self.answer_interrupts(|interrupting, _| interrupting.has_begun);
                    let params = ThreadStatusChanged { thread_id: self.seat.thread, status };
                    teller.connections.broadcast(&notice(&self.voice.name, &params));
                }
                Told::Settings => {
                    let now = (teller.settings)(&self.seat);
                    // What was applied and changed nothing is no news.
                    if self.settings.as_ref() != Some(&now) {
                        self.settings = Some(now.clone());
                        let params = ThreadSettingsUpdated { thread_id: self.seat.thread, thread_settings: now };
                        self.send(&notice(&self.voice.name, &params));
                    }
                }
                Told::Asked { turn, asked } => self.ask(&turn, &asked, teller),
                Told::Resolved(asked) => self.resolved(&asked, teller),
                told if self.subscribers.is_empty() => drop(told),
                told => {
                    if let Some(notification) = self.voice.write(told) {
                        self.send(&notification);
                    }
                }
            }
        }
    }

    /// Asks those who look; who comes later is asked then.
    fn ask(&mut self, turn: &TurnId, asked: &Asked, teller: &Teller<'_>) {
        let id = RequestId::from(asked.id.as_str());
        let params = match to_raw_value(&asked.params(self.seat.thread, turn)) {
            Ok(params) => Arc::from(params),
            Err(error) => return tracing::error!(ask = %asked.id, %error, "a question cannot be written"),
        };
        let question = Question { method: asked.what.method(), params };
        let readers = self.subscribers.keys().copied();
        let asks = teller.requests.lock().open(self.seat.thread, id.clone(), question.clone(), readers);
        for connection in asks.iter().filter_map(|connection| self.subscribers.get(connection)) {
            connection.request(&id, question.method, &question.params);
        }
    }

    /// Tells all who look that it is over.
    fn resolved(&mut self, asked: &Asked, teller: &Teller<'_>) {
        let id = RequestId::from(asked.id.as_str());
        if teller.requests.lock().close(&id).is_none() {
            return;
        }
        // Codex says nothing of these: who ran its own tool knows.
        if matches!(asked.what, What::DynamicTool { .. }) {
            return;
        }
        let params = ServerRequestResolved { thread_id: self.seat.thread, request_id: asked.id.as_str().into() };
        let notification = notice(&self.voice.name, &params);
        self.send(&notification);
    }

    /// Sends to those who look.
    pub fn send(&mut self, notification: &Notification) {
        self.subscribers.retain(|_, connection| {
            connection.send(notification);
            connection.is_open()
        });
    }

    /// From here on a connection is told what happens. True if it was not before.
    pub fn subscribe(&mut self, connection: &Arc<Connection>) -> bool {
        self.subscribers.insert(connection.id(), Arc::clone(connection)).is_none()
    }

    /// A client wants to hear no more, and what it was asked is not for it any more. True if it was told until now.
    pub fn leave(&mut self, connection: ConnectionId, teller: &Teller<'_>) -> bool {
        teller.requests.lock().unsubscribed(self.seat.thread, connection);
        self.unsubscribe(connection)
    }

    /// From here on it is not. True if it was.
    pub fn unsubscribe(&mut self, connection: ConnectionId) -> bool {
        self.subscribers.remove(&connection).is_some()
    }

    /// True if nobody was told yet that it is there; from here on everybody was.
    pub fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.is_announced, true)
    }

    /// A client was answered with this: what is the same is not told again.
    pub fn answered(&mut self, settings: ThreadSettings, spent: Option<Spent>) {
        self.settings = Some(settings);
        spent.into_iter().for_each(|spent| self.story.had_spent(spent));
    }

    /// The newest turn that a client knows without having been told, if there is one.
    pub fn had_ended(&mut self, newest: Option<&Turn>) {
        if newest.is_none_or(|turn| turn.status != TurnStatus::InProgress) {
            self.story.had_ended(newest.map(|turn| turn.id.clone()));
        }
    }

    /// What was spent, to one who did not hear it, for the turn that others were told it for; if they were not, for this one.
    pub fn tell_spent(&self, connection: &Connection, newest: TurnId, spent: Spent) {
        let turn = self.story.spent_in().cloned().unwrap_or(newest);
        let told = Told::Usage { turn, total: spent.total, last: spent.last };
        self.voice.write(told).into_iter().for_each(|notification| connection.send(&notification));
    }

    /// True if somebody looks.
    pub fn is_watched(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// How it is, as far as clients were told.
    pub fn status(&self) -> ThreadStatus {
        self.story.status()
    }

    /// The open turn, as far as clients were told.
    pub fn open_turn(&self) -> Option<&TurnId> {
        self.story.open()
    }

    /// Answers when this turn has ended, which is open now or about to begin.
    pub fn when_ended(&mut self, turn: TurnId, reply: Reply) {
        let has_begun = self.story.open() == Some(&turn);
        self.interrupts.push(Interrupting { turn, reply, has_begun });
    }

    /// Answers those whose turn is not open, as far as was told, and of which this is so.
    fn answer_interrupts(&mut self, is_over: impl Fn(&Interrupting, &SeatView) -> bool) {
        if self.interrupts.is_empty() {
            return;
        }
        let open = self.story.open();
        let (ended, waiting) = self.seat.look(|view| {
            let all = std::mem::take(&mut self.interrupts).into_iter();
            all.partition(|interrupting| Some(&interrupting.turn) != open && is_over(interrupting, view))
        });
        self.interrupts = waiting;
        let ended: Vec<Interrupting> = ended;
        ended.into_iter().for_each(|interrupting| interrupting.reply.ok(&Done {}));
    }

    /// A connection keeps up again: all that it may have missed, from the first turn of which it missed something.
    pub fn bring_up_to_date(&mut self, connection: ConnectionId, since: Option<&str>, teller: &Teller<'_>) {
        // What goes on is told as far as it has come, and nothing of that is told a second time.
        let open = loop {
            self.tell(teller);
            if let Some(open) = self.subscription.open_items(&self.seat.feed) {
                break open;
            }
        };
        let turns = match self.newest(teller.journal, since) {
            Ok(turns) => turns,
            Err(error) => {
                return tracing::error!(thread = %self.seat.thread, error, "what a client missed cannot be read");
            }
        };
        let Some(connection) = self.subscribers.get(&connection) else { return };
        // What was told until now is in what is told again.
        connection.catches_up(&self.voice.name);
        let mut again = Story::since(ThreadStatus::Idle, None);
        let mut told = again.tell_again(&turns, self.story.status(), teller.now);
        told.extend(again.tell_open(&turns, open));
        for notification in told.into_iter().filter_map(|told| self.voice.write(told)) {
            connection.send_whole(&notification);
        }
    }
}
