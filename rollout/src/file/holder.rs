//! Who holds a lock: what the system says of a process, for a person to find it.

use std::fs;
use std::path::Path;

use sapwood_protocol::Millis;

use crate::port::Holder;

/// The longest name of a program that is shown, in characters.
const NAME_CHARS: usize = 40;

/// Describes the process that holds a lock since its lock file was made or taken: `locked`.
pub(super) fn describe(pid: u32, locked: Option<Millis>) -> Holder {
    let proc = Path::new("/proc").join(pid.to_string());
    let program = fs::read(proc.join("cmdline")).ok().and_then(|line| program(&line));
    let program = program.or_else(|| fs::read_to_string(proc.join("comm")).ok().map(|name| clean(name.trim())));
    // A lock file may be left from an earlier holder, and no process holds anything before it starts.
    let since = locked.into_iter().chain(started(&proc)).max();
    Holder { pid, program: program.filter(|name| !name.is_empty()), since }
}

/// The program's name and its command, if the next word can be one. The rest may hold what nobody else should read.
fn program(cmdline: &[u8]) -> Option<String> {
    let mut words = cmdline.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let first = words.next().filter(|word| !word.is_empty())?;
    let name = clean(first.rsplit('/').next().unwrap_or(&first));
    let is_command = |word: &String| {
        (1..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    match words.next().filter(|word| is_command(word) && !word.starts_with('-')) {
        Some(command) => Some(format!("{name} {command}")),
        None => Some(name),
    }
}

fn clean(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

/// When a process started, to the second: clock ticks after the boot.
fn started(proc: &Path) -> Option<Millis> {
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    // The name of the program stands in parentheses, and may hold some itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Millis((boot + ticks / per_second.max(1)) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_its_name_and_its_command_and_never_a_prompt() {
        let of = |line: &str| program(line.replace(' ', "\0").as_bytes());
        assert_eq!(of("/usr/lib/codex app-server --x"), Some("codex app-server".into()));
        assert_eq!(of("codex"), Some("codex".into()));
        assert_eq!(of("sapwood --home /x"), Some("sapwood".into()));
        assert_eq!(program(b"codex\0Fix the secret thing\0"), Some("codex".into()));
        assert_eq!(program(b""), None);
    }

    #[test]
    fn this_process_is_described() {
        let me = describe(std::process::id(), Some(Millis(1)));
        assert!(me.program.is_some());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let since = me.since.unwrap().0;
        assert!(since > now - 86_400_000 && since <= now + 2_000, "{since} {now}");
        assert_eq!(
            describe(u32::MAX, Some(Millis(1))),
            Holder { pid: u32::MAX, program: None, since: Some(Millis(1)) }
        );
    }
}
