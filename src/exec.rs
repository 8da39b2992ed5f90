//! `exec` and `exec resume`: a client of the service facade that waits for the whole tree.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_actors::process::Processes;
use sapwood_actors::service::{Running, Service};
use sapwood_actors::tree::Tree;
use sapwood_model::Model;
use sapwood_protocol::Ids;
use sapwood_protocol::ids::InputId;
use sapwood_rollout::FileJournal;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::cli::{Color, ExecArgs};
use crate::client::{self, Client};
use crate::ending::Ending;
use crate::events::Events;
use crate::exit::{Exit, Failure};
use crate::last_message::LastMessage;
use crate::neighbour::Codex;
use crate::output::{Output, Piece};
use crate::progress::{Detail, Progress};
use crate::session::{self, Found};
use crate::setup::{self, Setup};
use crate::signals::{Signals, within};
use crate::terminal::live::Live;
use crate::terminal::style::Style;
use crate::text::safe;
use crate::watch::Watch;

/// How often the tree is asked whether its storage works.
const STORAGE_LOOK: Duration = Duration::from_millis(250);
/// How long a tree may stand still because its storage fails, before it is left for later.
const STORAGE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader may take for what is left when the program is stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs a tree, and says how it went.
pub fn run(args: &ExecArgs) -> Exit {
    let runtime = || {
        let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let built = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        built.map_err(|error| Failure::new(Exit::Failure, format!("no threads could be started: {error}")))
    };
    match Run::prepare(args).and_then(|run| Ok((run, runtime()?))) {
        Ok((run, runtime)) => {
            let exit = runtime.block_on(run.until_the_end());
            // Nothing that matters is left in it, and a task that hangs is not waited for.
            runtime.shutdown_background();
            exit
        }
        Err(failure) => Ending::failed(&failure).say_early(args.json),
    }
}

/// What is to be done, before anything is done.
struct Run {
    setup: Setup,
    journal: Arc<FileJournal>,
    /// The tree that is to go on.
    resume: Option<Found>,
    /// What the user says.
    text: Option<String>,
    json: bool,
    quiet: bool,
    color: Color,
    /// Where the root's last message goes beside stdout.
    file: Option<LastMessage>,
    /// What a resume needs on its command line.
    home_flag: String,
}

/// Why nobody waits for the tree any longer.
enum End {
    Rest,
    Signal(Exit),
    /// Stdout is closed.
    Unheard,
    Storage(String),
}

impl Run {
    fn prepare(args: &ExecArgs) -> Result<Self, Failure> {
        let client = Client::read(args, std::env::var_os(client::ORIGINATOR))?;
        let file = args.output.as_deref().map(LastMessage::prepare).transpose()?;
        let mut setup = Setup::new(args, client.originator())?;
        let notes = client.tell(&mut setup.settings);
        setup.notes.extend(notes);
        let (journal, resume) = (Arc::clone(&setup.journal), setup.resume.take());
        let text = setup::prompt(args.prompt.as_ref())?;
        if text.is_none() && resume.is_none() {
            return Err(Failure::usage("no prompt: give one, or write it to stdin; see `sapwood exec --help`"));
        }
        let works_in = resume.as_ref().and_then(|found| found.cwd.clone()).map_or(setup.cwd.clone(), Into::into);
        setup.read_project(&works_in);
        let home_flag = args.home.as_ref().map(|home| format!(" --home {}", home.display())).unwrap_or_default();
        let (json, quiet, color) = (args.json, args.quiet, args.color);
        Ok(Self { setup, journal, resume, text, json, quiet, color, file, home_flag })
    }

    async fn until_the_end(self) -> Exit {
        let (json, file) = (self.json, self.file.clone());
        let output = Output::start();
        let ((mut ending, deadline), signals) = match Signals::new() {
            Ok(mut signals) => (self.drive(&output, &mut signals).await, Some(signals)),
            Err(error) => {
                let failure = Failure::new(Exit::Failure, format!("signals cannot be handled: {error}"));
                ((Ending::failed(&failure), None), None)
            }
        };
        let last_words = within(deadline, async {
            keep(&mut ending, file).await;
            let mut pieces: VecDeque<Piece> = ending.pieces(json).into();
            while !pieces.is_empty() {
                output.take(&mut pieces).await;
            }
            ending.exit = output.finish().await.exit(ending.exit);
        });
        match signals {
            Some(mut signals) => signals.or_exit(last_words).await,
            None => last_words.await,
        }
        ending.exit
    }

    /// The second value is how long the reader of the outputs may take for the rest: for ever, where nobody is in a
    /// hurry.
    async fn drive(mut self, output: &Output, signals: &mut Signals) -> (Ending, Option<Instant>) {
        self.setup.look_up_model();
        let mut show = Show::new(&self);
        let is_said = |note: &&String| !self.quiet || !note.starts_with("note:");
        show.say(self.setup.notes.iter().filter(is_said).map(|note| safe(note)));
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => {
                show.flush(None, output, signals).await;
                let why = format!("the program that would run commands cannot be found: {error}");
                return (Ending::failed(&Failure::new(Exit::Failure, why)), None);
            }
        };
        let model = Arc::clone(&self.setup.providers) as Arc<dyn Model>;
        let shell = self.setup.shell.clone();
        let processes = Processes::hiding(program, self.setup.hidden.clone());
        let service = Service::new(self.journal.clone(), model, processes, shell, Arc::new(SystemClock))
            .watched_by(show.watch.watcher())
            .beside(Arc::new(Codex(self.setup.home.clone())));
        let running = match self.begin(&service, &mut show).await {
            Ok(running) => running,
            Err(failure) => {
                show.flush(None, output, signals).await;
                return (Ending::failed(&failure).about(self.resume.map(|found| found.session.to_string())), None);
            }
        };
        let tree = Arc::clone(&running.tree);
        show.begin(&tree);
        show.say(running.warnings.iter().map(|warning| format!("warning: {}", safe(warning))));
        let warnings = running.warnings.clone();
        let end = show.follow(&running, output, signals).await;
        signals.or_exit(running.shutdown()).await;
        signals.or_exit(service.processes().close()).await;
        let deadline = matches!(end, End::Signal(_)).then(|| Instant::now() + LAST_WORDS);
        let ending = match end {
            End::Rest => Ending::judge(&tree, &warnings),
            End::Signal(exit) => Ending::stopped(exit),
            End::Unheard => return (Ending::unheard(), None),
            End::Storage(why) => {
                Ending::failed(&session::failed(format!("the tree stands still: {why}"), &self.setup.home))
            }
        };
        show.end(&ending.of_open_turn());
        show.flush(deadline, output, signals).await;
        let resume = format!("sapwood exec resume {}{}", tree.session, self.home_flag);
        (ending.of(&tree).resumed_by(resume), deadline)
    }

    /// Starts the tree, or loads it and tells it what is to be done.
    async fn begin(&self, service: &Service, show: &mut Show) -> Result<Running, Failure> {
        let settings = self.setup.settings.clone();
        let (a, b) = Uuid::new_v4().as_u64_pair();
        let ids = Ids::seeded(a ^ b);
        let home = &self.setup.home;
        let refused = |error| session::refused(error, home);
        let Some(found) = &self.resume else {
            let cwd = self.setup.cwd.to_string_lossy();
            let text = self.text.clone().unwrap_or_default();
            return service.start(settings, &cwd, text, ids).await.map_err(refused);
        };
        let running = service.load(found.session, settings, ids).await.map_err(refused)?;
        let told = match &self.text {
            Some(text) => running.say(text.clone(), InputId::from(Uuid::new_v4())),
            None => running.go_on().map(|asked| {
                if asked == 0 {
                    let note = "note: nothing in this tree was left open; to have more done, say what";
                    show.say_unless_quiet([note.to_owned()]);
                }
            }),
        };
        match told {
            Ok(()) => Ok(running),
            Err(refusal) => {
                running.shutdown().await;
                Err(session::refusal_error(&refusal, home))
            }
        }
    }
}

/// What is shown of a tree while it works.
struct Show {
    json: bool,
    /// Only warnings and errors are said.
    quiet: bool,
    shell: String,
    place: String,
    watch: Watch,
    tree: Option<Arc<Tree>>,
    events: Option<Events>,
    progress: Progress,
    /// The tree on the screen.
    live: Option<Live>,
    /// Seen and not yet handed to the outputs.
    pending: VecDeque<Piece>,
}

impl Show {
    fn new(run: &Run) -> Self {
        let now = SystemClock.now();
        let style = Style::choose(run.color, std::io::stderr().is_terminal());
        let live = if run.quiet { None } else { Live::open(style, now, run.json) };
        let detail = if live.is_some() { Detail::Ends } else { Detail::All };
        Self {
            json: run.json,
            quiet: run.quiet,
            shell: run.setup.shell.display().to_string(),
            place: run.setup.home.display().to_string(),
            watch: Watch::default(),
            tree: None,
            events: None,
            progress: Progress::since(now, detail, style),
            live,
            pending: VecDeque::new(),
        }
    }

    fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        self.pending.extend(lines.into_iter().map(Piece::err));
    }

    /// What a person may want to know, and nobody needs.
    fn say_unless_quiet(&mut self, lines: impl IntoIterator<Item = String>) {
        if !self.quiet {
            self.say(lines);
        }
    }

    fn tell(&mut self, events: Vec<serde_json::Value>) {
        self.pending.extend(events.into_iter().map(|event| Piece::out(event.to_string())));
    }

    /// The tree is there.
    fn begin(&mut self, tree: &Arc<Tree>) {
        self.say_unless_quiet([format!("session {} (rollouts in {})", tree.session, safe(&self.place))]);
        if self.json {
            let events = Events::new(tree.session.into(), self.shell.clone());
            self.tell(vec![events.started()]);
            self.events = Some(events);
        }
        self.tree = Some(Arc::clone(tree));
    }

    /// Takes the news of the tree. True if there were any.
    fn look(&mut self) -> bool {
        let Some(tree) = self.tree.clone() else {
            return false;
        };
        let news = self.watch.news();
        for seen in &news {
            self.live.iter_mut().for_each(|live| live.see(seen));
            if !self.quiet || seen.what.is_warning() {
                self.say(self.progress.line(&seen.seat.path, &seen.what));
            }
            if seen.seat.parent.is_none()
                && let Some(events) = &mut self.events
            {
                let events = events.of(&seen.what, &tree);
                self.tell(events);
            }
        }
        !news.is_empty()
    }

    /// Shows what happens until the tree rests, or somebody does not want to wait for that.
    async fn follow(&mut self, running: &Running, output: &Output, signals: &mut Signals) -> End {
        let mut ticks = tokio::time::interval(STORAGE_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stands_still: Option<Instant> = None;
        loop {
            let is_idle = self.pending.is_empty();
            if is_idle && self.look() {
                stands_still = None;
                continue;
            }
            tokio::select! {
                biased;
                exit = signals.next() => return End::Signal(exit),
                () = output.closed(), if self.json => return End::Unheard,
                () = due(&mut self.live, output) => self.draw(running, output),
                () = output.take(&mut self.pending), if !is_idle => {}
                () = running.at_rest(), if is_idle => return End::Rest,
                () = self.watch.rung(), if is_idle => {}
                _ = ticks.tick() => match running.storage_blocked() {
                    None => stands_still = None,
                    Some(why) => {
                        let since = *stands_still.get_or_insert_with(Instant::now);
                        if since.elapsed() > STORAGE_PATIENCE {
                            return End::Storage(why);
                        }
                    }
                },
            }
        }
    }

    /// Nothing more will happen: the last news, and an end for everything that is still open.
    fn end(&mut self, why: &str) {
        self.look();
        if let Some(events) = &mut self.events {
            let events = events.stopped(why);
            self.tell(events);
        }
        self.pending.extend(self.live.take().map(|live| live.last(SystemClock.now())));
    }

    /// Draws the live tree.
    fn draw(&mut self, running: &Running, output: &Output) {
        if let Some(live) = &mut self.live {
            live.draw(SystemClock.now(), &running.held_up(), output);
        }
    }

    /// Hands everything to the outputs, or as much as is read in time.
    async fn flush(&mut self, deadline: Option<Instant>, output: &Output, signals: &mut Signals) {
        let all = async {
            while !self.pending.is_empty() {
                output.take(&mut self.pending).await;
            }
        };
        signals.or_exit(within(deadline, all)).await;
    }
}

/// Writes the root's last message into its file, where there is one of each.
async fn keep(ending: &mut Ending, file: Option<LastMessage>) {
    let (Some(file), Some(text)) = (file, ending.last_message()) else {
        return;
    };
    let written = tokio::task::spawn_blocking(move || file.write(&text)).await;
    if let Err(why) = written.unwrap_or_else(|error| Err(format!("the last message could not be written: {error}"))) {
        ending.not_kept(why);
    }
}

/// Returns when the live tree is to be drawn, where there is one.
async fn due(live: &mut Option<Live>, output: &Output) {
    match live {
        Some(live) => live.due(output).await,
        None => std::future::pending().await,
    }
}
