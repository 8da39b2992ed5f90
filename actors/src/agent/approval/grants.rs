//! What a person allowed for the rest of the session: a fold of questions and their answers, so it is there after a
//! restart. Each agent has its own.

use std::collections::BTreeSet;

use sapwood_protocol::approval::Permissions;
use sapwood_protocol::asked::{CommandAsk, Decision, Resolution, Scope, What};

use super::words::{self, Script};

/// Remembered grants, at most. The next one holds once: a session that has so many asks for something else each time.
const MAX_GRANTS: usize = 1_024;

/// A key that is remembered is not longer, in bytes: a command of that length does not come again.
const KEY_BYTES: usize = 4 * 1024;

/// What a person allowed for the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    keys: BTreeSet<String>,
    prefixes: BTreeSet<Vec<String>>,
    permissions: Permissions,
}

impl Grants {
    /// Follows the answer to a question.
    pub fn apply(&mut self, asked: &What, how: &Resolution) {
        match (asked, how) {
            (What::Command(ask), Resolution::Decided { decision: Decision::AcceptForSession }) => {
                self.remember(key_of_command(ask));
            }
            (
                What::Command(_),
                Resolution::Decided { decision: Decision::AcceptWithExecpolicyAmendment(amendment) },
            ) => {
                let words = &amendment.execpolicy_amendment;
                let bytes: usize = words.iter().map(String::len).sum();
                if !words.is_empty() && bytes <= KEY_BYTES && self.len() < MAX_GRANTS {
                    self.prefixes.insert(words.clone());
                }
            }
            (What::FileChange { paths, .. }, Resolution::Decided { decision: Decision::AcceptForSession }) => {
                paths.iter().for_each(|path| self.remember(key_of_file(path)));
            }
            (What::Permissions { .. }, Resolution::Granted { scope: Scope::Session, .. }) => {
                if let Some(granted) = super::permissions::granted(asked, how)
                    && self.len() < MAX_GRANTS
                {
                    self.permissions.add(&granted);
                }
            }
            _ => {}
        }
    }

    /// True if this command was allowed for the session.
    pub fn has_command(&self, ask: &CommandAsk) -> bool {
        self.keys.contains(&key_of_command(ask))
    }

    /// True if the change of every one of these files was.
    pub fn has_files(&self, paths: &[String]) -> bool {
        !paths.is_empty() && paths.iter().all(|path| self.keys.contains(&key_of_file(path)))
    }

    /// True if whatever begins as this command does was allowed: each part of it, but those that only read.
    pub fn has_prefix_of(&self, command: &[String], script: Option<&Script>) -> bool {
        let allowed = |words: &[String]| self.prefixes.iter().any(|prefix| words.starts_with(prefix));
        let parts = |script: &Script| {
            let commands = || script.commands.iter().map(|command| command.words.as_slice());
            commands().any(allowed) && commands().all(|words| allowed(words) || super::safety::reads(words))
        };
        allowed(command) || script.is_some_and(|script| !script.expands && parts(script))
    }

    /// The rights that hold for the session.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    fn remember(&mut self, key: String) {
        if key.len() <= KEY_BYTES && self.len() < MAX_GRANTS {
            self.keys.insert(key);
        }
    }

    fn len(&self) -> usize {
        let files = self.permissions.file_system.as_ref().map_or(0, |files| files.read.len() + files.write.len());
        self.keys.len() + self.prefixes.len() + files
    }
}

/// What makes two commands the same: their words, where they run, on what, and with which rights.
fn key_of_command(ask: &CommandAsk) -> String {
    let plain = match ask.command.as_slice() {
        [_, flag, script] if flag == "-lc" || flag == "-c" => words::split(script).filter(|script| !script.expands),
        _ => None,
    };
    let words = match plain {
        // However it is spaced and quoted.
        Some(Script { commands, .. }) if commands.len() == 1 => &commands[0].words.clone(),
        _ => &ask.command,
    };
    let key = (words, &ask.cwd, ask.tty, ask.unconfined, &ask.permissions);
    format!("command {}", serde_json::to_string(&key).unwrap_or_else(|_| format!("{key:?}")))
}

fn key_of_file(path: &str) -> String {
    format!("file {path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::approval::Network;
    use sapwood_protocol::asked::Amendment;

    fn command(script: &str, cwd: &str) -> CommandAsk {
        CommandAsk {
            command: vec!["/bin/bash".into(), "-lc".into(), script.into()],
            cwd: cwd.into(),
            tty: false,
            reason: None,
            actions: Vec::new(),
            unconfined: true,
            permissions: None,
            amendment: None,
            decisions: Vec::new(),
        }
    }

    fn decided(decision: Decision) -> Resolution {
        Resolution::Decided { decision }
    }

    #[test]
    fn the_same_command_in_the_same_place_is_not_asked_again() {
        let ask = command("touch a", "/w");
        let mut grants = Grants::default();
        for no in [Decision::Accept, Decision::Decline, Decision::Cancel] {
            grants.apply(&What::Command(Box::new(ask.clone())), &decided(no));
        }
        assert_eq!(grants, Grants::default());
        grants.apply(&What::Command(Box::new(ask.clone())), &decided(Decision::AcceptForSession));
        assert!(grants.has_command(&ask) && grants.has_command(&command("touch  'a' ", "/w")));
        let tty = CommandAsk { tty: true, ..ask.clone() };
        let confined = CommandAsk { unconfined: false, ..ask.clone() };
        for other in
            [command("touch a", "/x"), command("touch b", "/w"), command("touch a; touch b", "/w"), tty, confined]
        {
            assert!(!grants.has_command(&other), "{other:?}");
        }
    }

    #[test]
    fn a_change_is_allowed_if_each_of_its_files_is() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let ask = What::FileChange { reason: None, grant_root: None, paths: paths(&["/a", "/b"]) };
        let mut grants = Grants::default();
        grants.apply(&ask, &decided(Decision::AcceptForSession));
        assert!(grants.has_files(&paths(&["/b"])) && grants.has_files(&paths(&["/b", "/a"])));
        assert!(!grants.has_files(&paths(&["/a", "/c"])) && !grants.has_files(&[]));
    }

    #[test]
    fn an_amendment_is_for_what_begins_with_it() {
        let ask = What::Command(Box::new(command("touch a", "/w")));
        let mut grants = Grants::default();
        let amendment = Amendment { execpolicy_amendment: vec!["touch".into()] };
        grants.apply(&ask, &decided(Decision::AcceptWithExecpolicyAmendment(amendment)));
        let has = |script: &str| grants.has_prefix_of(&command(script, "/").command, words::split(script).as_ref());
        assert!(has("touch b") && has("touch b && ls"));
        assert!(!has("ls") && !has("touch b && mv b c") && !has("touch b > c") && !has("touch *") && !has("touchy"));
        let empty = Amendment { execpolicy_amendment: Vec::new() };
        grants.apply(&ask, &decided(Decision::AcceptWithExecpolicyAmendment(empty)));
        assert!(!grants.has_prefix_of(&command("mv a b", "/").command, None));
    }

    #[test]
    fn grants_are_bounded() {
        let mut grants = Grants::default();
        for n in 0..MAX_GRANTS + 5 {
            let ask = What::FileChange { reason: None, grant_root: None, paths: vec![format!("/{n}")] };
            grants.apply(&ask, &decided(Decision::AcceptForSession));
        }
        assert_eq!(grants.len(), MAX_GRANTS);
        assert!(!grants.has_files(&[format!("/{}", MAX_GRANTS + 1)]));
    }

    #[test]
    fn rights_for_a_session_stay_and_those_for_a_turn_do_not() {
        let network = Permissions { network: Some(Network { enabled: Some(true) }), file_system: None };
        let ask = What::Permissions { reason: None, cwd: "/w".into(), permissions: network.clone() };
        let granted = |scope| Resolution::Granted { permissions: network.clone(), scope, strict_auto_review: false };
        let mut grants = Grants::default();
        grants.apply(&ask, &granted(Scope::Turn));
        assert_eq!(grants.permissions(), &Permissions::default());
        grants.apply(&ask, &granted(Scope::Session));
        assert_eq!(grants.permissions(), &network);
    }
}
