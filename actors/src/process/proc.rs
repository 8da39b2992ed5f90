//! What `/proc` says about processes. A process that is gone is `None` or an empty list, never an error.

use std::collections::HashSet;
use std::fs;

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    pub start: u64,
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The program's name stands in parentheses and may hold any byte, so fields are counted from the last `)`.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<i64>().ok();
    Some(Stat {
        parent: i32::try_from(number(1)?).ok()?,
        group: i32::try_from(number(2)?).ok()?,
        session: i32::try_from(number(3)?).ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The children of a process, the dead and unreaped ones included.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|id| id.parse::<i32>().ok())),
            // A kernel without CONFIG_PROC_CHILDREN has the task but not the file.
            Err(_) if task.path().exists() => return children_by_scan(pid),
            Err(_) => {}
        }
    }
    found
}

fn children_by_scan(pid: i32) -> Vec<i32> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| stat(*id).is_some_and(|stat| stat.parent == pid))
        .collect()
}

/// The given processes and everything below them, parents first.
pub(super) fn with_descendants(roots: impl IntoIterator<Item = i32>) -> Vec<i32> {
    let mut seen = HashSet::new();
    let mut found: Vec<i32> = roots.into_iter().filter(|pid| seen.insert(*pid)).collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid).into_iter().filter(|child| seen.insert(*child)));
        next += 1;
    }
    found
}

/// Whether the process was started with this `NAME=value` in its environment.
pub(super) fn started_with(pid: i32, assignment: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == assignment.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) b (c)) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 2\n";
        let expected = Stat { parent: 7, group: 42, session: 41, start: 98765 };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat(b"42 (a) S 7"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn both_ways_of_listing_children_agree() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        let id = i32::try_from(child.id()).unwrap();
        assert!(children(me).contains(&id));
        assert!(children_by_scan(me).contains(&id));
        assert!(with_descendants([me]).contains(&id));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(me).contains(&id));
    }
}
