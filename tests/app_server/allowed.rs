//! Where we differ from the recordings on purpose, each with its reason.

use std::mem::discriminant;

use serde_json::Value;

/// One path of messages that need not be as recorded.
pub struct Allowed {
    /// The method, with an item's type, and with `(child)` for one that is only allowed for children; a space; the path. `*`
    /// stands for any part of the method, `**` for any beginning or end of a path,
    /// `[*]` for any place in a list. Without a path: the whole message, there or not.
    pub at: &'static str,
    /// How far they may differ.
    pub far: Far,
    /// Why.
    pub because: &'static str,
}

/// How far two values may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// Both are there, and of one JSON type.
    Value,
    /// Ours has more.
    More,
    /// Ours lacks it.
    Less,
    /// Whatever is there.
    Any,
    /// It is told by both, but not at the same place.
    Moved,
    /// A request that was served there and is refused here, with the turn that follows from it.
    Refused,
}

impl Allowed {
    /// True if these may stand beside each other.
    pub fn allows(&self, ours: Option<&Value>, theirs: Option<&Value>) -> bool {
        match self.far {
            Far::Value => ours.map(discriminant) == theirs.map(discriminant),
            Far::More => theirs.is_none(),
            Far::Less => ours.is_none(),
            Far::Any => true,
            Far::Moved => false,
            Far::Refused => ours.is_some() != theirs.is_some(),
        }
    }
}

/// What the name of a message of a child ends with.
pub const CHILD: &str = "(child)";

/// No more than this.
pub const AT_MOST: usize = 60;

const fn kind(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::Value, because }
}

const fn any(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::Any, because }
}

const fn more(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::More, because }
}

const fn less(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::Less, because }
}

const fn moved(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::Moved, because }
}

const fn refused(at: &'static str, because: &'static str) -> Allowed {
    Allowed { at, far: Far::Refused, because }
}

/// The recorded model was none that Codex gives its newer agents to.
const OLDER_AGENTS: &str = "the recording has the older agents, we have those of multi-agent v2";

/// All of them.
pub const ALLOWED: &[Allowed] = &[
    kind("* **.createdAt", "when it was made"),
    kind("* **.updatedAt", "when it was changed"),
    kind("* **.recencyAt", "when it was used"),
    kind("* **.startedAt", "when it began"),
    kind("* **.completedAt", "when it ended"),
    kind("* **.startedAtMs", "when it began"),
    kind("* **.completedAtMs", "when it ended"),
    kind("* **.durationMs", "how long it took"),
    kind("* **.processId", "the number of a process"),
    kind("* **.thread.path", "its name holds the time"),
    kind("thread/list result.data[*].path", "its name holds the time"),
    kind("initialize result.userAgent", "the program's own name and version"),
    kind("* **.agentNickname", "a name by chance"),
    kind("* **.agent_nickname", "a name by chance"),
    kind("config/read **.version", "a hash of a file that holds the address of the model"),
    kind("* **.gitInfo.sha", "a commit of its own"),
    kind(
        "item/agentMessage/delta params.delta",
        "of an answer without an end; others are compared when they are completed",
    ),
    kind("model/list result.data", "the recording holds two models of many"),
    any("configWarning", "what the recorded machine lacked"),
    any("remoteControl/status/changed", "there is no remote control"),
    any("account/rateLimits/updated", "the recorded provider has no limits, and says so after each response"),
    any("item/commandExecution/outputDelta", "of a command that ends at once, a matter of time; its item is compared"),
    any("thread/readState/*", "what a person has read is not kept"),
    any("thread/list result.readStates.**", "what a person has read is not kept"),
    any("thread/read result.readState.**", "what a person has read is not kept"),
    any("thread/list result.nextCursor", "the recorded home held older threads"),
    any("thread/list result.backwardsCursor", "the recorded home held older threads"),
    any("skills/list result.data[*].skills", "the recording holds one skill of many"),
    any("warning", "the recorded model was unknown to the catalogue"),
    any("deprecationNotice", "what is deprecated in Codex is served here"),
    kind("* **.cliVersion", "our own version"),
    kind("* **.originator", "the client that made it: the recorded process took the name of its first client for all"),
    kind("nope* error.message", "it names the methods that there are"),
    kind("thread/read error.message", "the words of a library"),
    less("config/read result.config.features.**", "features that are not here"),
    any("config/read result.layers", "the recorded machine had a file for all its users"),
    any("plugin/installed", "there are no plugins: answered as an unknown method"),
    any("account/bedrock/checkGovCloudRequirements", "there is no such provider: answered as an unknown method"),
    refused("thread/compact/start", "nothing is compacted yet: answered as an unknown method"),
    refused("turn/start(child)", "as Codex with agents like ours: their tasks come from who spawned them"),
    any("thread/goal/*", "there are no goals yet: answered as an unknown method"),
    kind("* **.command", "commands run in a shell that is no login shell, so that no profile slows or changes them"),
    kind("* **.error.message", "it says who failed and what to do, and not only what the provider says"),
    any("* **.gitInfo", "known from the start, and not only once something was said"),
    more("thread/started(child)", "children are announced"),
    moved(
        "serverRequest/resolved",
        "before its turn ends; Codex forgets what an interrupt withdraws, and says so after",
    ),
    moved("item/completed(commandExecution)", "a refused one after the thread waits no more; in Codex before"),
    more("item/*(commandExecution)", "what began ends, also where nobody answered"),
    any("item/*(collabAgentToolCall)", OLDER_AGENTS),
    more("item/*(subAgentActivity)", OLDER_AGENTS),
    less("item/*(userMessage)(child)", OLDER_AGENTS),
    more("turn(unasked)", "a report wakes an idle root: nobody else would"),
    any("* **.canAcceptDirectInput", OLDER_AGENTS),
    any("* **.thread_spawn.agent_path", OLDER_AGENTS),
];

/// True for a request that we refuse.
pub fn is_refused(request: &str) -> bool {
    of(request).any(|allowed| allowed.far == Far::Refused)
}

/// True for what may be told at another place.
pub fn is_moved(what: &str) -> bool {
    of(what).any(|allowed| allowed.far == Far::Moved)
}

/// True for whole messages, or turns, that only one of both may have.
pub fn is_left_out(what: &str) -> bool {
    of(what).any(|allowed| matches!(allowed.far, Far::Any | Far::More | Far::Less))
}

/// The entries for a difference at this path.
pub fn of(at: &str) -> impl Iterator<Item = &'static Allowed> {
    ALLOWED.iter().filter(move |allowed| covers(allowed.at, at))
}

fn covers(allowed: &str, at: &str) -> bool {
    let parts = |text| str::split_once(text, ' ').unwrap_or((text, ""));
    let ((method, path), (at_method, at_path)) = (parts(allowed), parts(at));
    let same_path = match (path.strip_prefix("**"), path.strip_suffix(".**")) {
        (Some(end), _) => at_path.ends_with(end),
        (None, Some(start)) => at_path.starts_with(start),
        (None, None) => path == at_path || path.is_empty(),
    };
    let same_method = |at_method: &str| match method.split_once('*') {
        Some((start, end)) => {
            at_method.len() >= start.len() + end.len() && at_method.starts_with(start) && at_method.ends_with(end)
        }
        None => method == at_method,
    };
    same_path && (same_method(at_method) || at_method.strip_suffix(CHILD).is_some_and(same_method))
}

#[test]
fn the_list_is_short_and_each_has_a_reason() {
    assert!(ALLOWED.len() <= AT_MOST, "{}", ALLOWED.len());
    assert!(ALLOWED.iter().all(|allowed| !allowed.because.is_empty()));
}

#[test]
fn an_entry_covers_its_path_only() {
    assert!(covers("* **.createdAt", "thread/start result.thread.createdAt"));
    assert!(!covers("* **.createdAt", "thread/start result.thread.id"));
    assert!(covers("thread/list result.readStates.**", "thread/list result.readStates.[*].revision"));
    assert!(covers("warning", "warning params.message") && covers("warning", "warning"));
    assert!(!covers("thread/list result.data[*].path", "thread/list result.data[*].cwd"));
}
