//! Paths as text: made absolute and compared without looking at a disk.

/// `path` as seen from the absolute directory `base`, without `.`, `..` and double slashes. What a link points at is not
/// known here.
pub fn absolute(base: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// True if `path` is `root` or below it. Both are absolute and without `..`.
pub fn is_below(path: &str, root: &str) -> bool {
    let root = root.trim_end_matches('/');
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_without_a_disk() {
        let table = [
            ("a", "/w/a"),
            ("./a/../b", "/w/b"),
            ("../x", "/x"),
            ("../../../x", "/x"),
            ("/etc//passwd", "/etc/passwd"),
            (".", "/w"),
            ("/", "/"),
        ];
        for (path, absolute_path) in table {
            assert_eq!(absolute("/w", path), absolute_path, "{path}");
        }
    }

    #[test]
    fn below_goes_by_whole_names() {
        assert!(is_below("/w", "/w") && is_below("/w/a", "/w") && is_below("/w/a", "/w/") && is_below("/w", "/"));
        assert!(!is_below("/wa", "/w") && !is_below("/", "/w") && !is_below("/v/w", "/w"));
    }
}
