//! The shell commands of a rehearsal: POSIX sh, `xargs -0`, `tr`, `sort`, `awk` and `wc`; no file is written.
//!
//! Names of files are handled as the bytes they are, with a NUL between them, up to the place where only numbers are
//! left. Each command reduces its output itself, to a bounded number of rows, and ends with a line of sums, so that the
//! reader sees whether all of it arrived. The first line names the job, so that a later request can tell which of its
//! calls did what.

use serde_json::{Value, json};

/// Something to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// What to do.
    pub verb: Verb,
    /// With which files.
    pub area: Area,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Counts the files of each folder directly below.
    List,
    /// Counts files, lines and bytes by the ends of their names, and finds the largest files.
    Count,
}

/// Which files a job is about, seen from the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// All.
    All,
    /// Those in one folder.
    Folder(String),
    /// All but those in these folders.
    Except(Vec<String>),
}

/// Rows of output, from the first try to those after truncated ones.
const LIST_ROWS: [usize; 3] = [40, 16, 8];
const COUNT_ROWS: [usize; 3] = [300, 60, 12];

/// How many times output can be narrowed.
pub(super) const NARROWEST: usize = LIST_ROWS.len() - 1;

const TAG: &str = "# sapwood rehearsal: ";

/// `list` writes the names; `how` says where they come from. Of what find complains about, three lines are enough.
const SOURCE: &str = r#"if git rev-parse --is-inside-work-tree 2>&1 | grep -qx true; then
  echo how git
  list() { git --literal-pathspecs ls-files -z -- "$G"; }
else
  echo how find
  list() { { find "$F" -name .git -prune -o -type f -print0 2>&1 >&3 | sed -n 1,3p >&2; } 3>&1; }
fi
"#;

/// A line break inside a name becomes the character 1, so that awk sees one name a line.
const LIST: &str = r#"list | tr '\n\000' '\001\n' | awk '
{ sub(/^\.\//, ""); s = substr($0, length(ENVIRON["D"]) + 1); i = index(s, "/")
  if (i > 0) C[substr(s, 1, i - 1)]++; else T++ }
END { for (k in C) printf "dir %.0f %s\n", C[k], k; printf "top %.0f\n", T }' |
sort -k1,1 -k2,2nr -k3 | awk '
$1 == "dir" { F += $2; if (++r <= ROWS) print; else { m++; mf += $2 } }
$1 == "top" { T = $2 }
END { printf "more %.0f %.0f\ntop %.0f\nend %.0f %.0f\n", m, mf, T, r, F + T }'
"#;

/// `wc` reads all files whose name is one line; the second pass reads the others, and says what is no file.
const COUNT: &str = r#"{
list | xargs -0 sh -c '
for f do f=${f#./}; EXCEPT
  case $f in *"
"*) continue;; esac
  if [ -f "./$f" ] && [ -r "./$f" ]; then printf "./%s\0" "$f"; fi
done' sh | xargs -0 wc -lc
list | xargs -0 sh -c '
for f do f=${f#./}; EXCEPT
  if [ -f "./$f" ]; then
    if [ ! -r "./$f" ]; then echo "skip unreadable"; continue; fi
    case $f in *"
"*) b=${f##*/}; e=; case $b in *.*) e=.${b##*.};; esac
      case $e in *"
"*) e=;; esac
      printf "%s ./?%s\n" "$(wc -lc <"./$f")" "$e";;
    esac
  elif [ -d "./$f" ]; then echo "skip folder"
  elif [ -L "./$f" ]; then echo "skip link"
  elif [ -e "./$f" ]; then echo "skip other"
  else echo "skip missing"; fi
done' sh
} | awk '
$1 == "skip" && NF == 2 { S[$2]++; next }
match($0, /^ *[0-9]+ +[0-9]+ \.\//) {
  l = $1 + 0; b = $2 + 0; name = substr($0, RLENGTH + 1); k = name; sub(/^.*\//, "", k)
  if (k ~ /\./) {
    sub(/^.*\./, "", k); k = tolower(k)
    if (length(k) > 16 || k !~ /^[a-z0-9_+#-]+$/) k = "-"; else k = "." k
  } else if (length(k) > 24 || k !~ /^[A-Za-z0-9_-]+$/) k = "-"
  N[k]++; L[k] += l; B[k] += b
  i = 6
  while (i > 1 && (TN[i-1] == "" || b > TB[i-1] || (b == TB[i-1] && name < TN[i-1]))) {
    TN[i] = TN[i-1]; TB[i] = TB[i-1]; TL[i] = TL[i-1]; i--
  }
  TN[i] = name; TB[i] = b; TL[i] = l
}
END {
  for (k in N) printf "row %.0f %s %.0f %.0f\n", N[k], k, L[k], B[k]
  for (i = 1; i <= 5; i++) if (TN[i] != "") printf "big %.0f %.0f %s\n", TB[i], TL[i], TN[i]
  for (k in S) printf "skip %.0f %s\n", S[k], k
}' | sort -k1,1 -k2,2nr -k3 | awk '
$1 == "row" { F += $2; L += $4; B += $5; if (++r <= ROWS) print; else { f += $2; l += $4; b += $5 } next }
{ print }
END { if (f) printf "row %.0f - %.0f %.0f\n", f, l, b; printf "end %.0f %.0f %.0f\n", F, L, B }'
"#;

impl Job {
    /// A job that lists.
    pub fn list(area: Area) -> Self {
        Self { verb: Verb::List, area }
    }

    /// A job that counts.
    pub fn count(area: Area) -> Self {
        Self { verb: Verb::Count, area }
    }

    /// The command; `narrow` is 0 for the first try and at most [`NARROWEST`].
    pub fn command(&self, narrow: usize) -> String {
        let (word, rows, body) = match self.verb {
            Verb::List => ("list", LIST_ROWS[narrow.min(NARROWEST)], LIST),
            Verb::Count => ("count", COUNT_ROWS[narrow.min(NARROWEST)], COUNT),
        };
        let (area, inside, folder, prefix, except) = match &self.area {
            Area::All => (Value::Null, ".".to_owned(), ".".to_owned(), String::new(), &[][..]),
            Area::Folder(name) => (json!(name), format!("{name}/"), format!("./{name}"), format!("{name}/"), &[][..]),
            Area::Except(names) => (json!(names), ".".to_owned(), ".".to_owned(), String::new(), &names[..]),
        };
        let mut command = format!("{TAG}{word} {rows} {area}\nLC_ALL=C; export LC_ALL\n");
        command += &format!("G={} F={} D={}; export D\n", quote(&inside), quote(&folder), quote(&prefix));
        for (i, name) in except.iter().enumerate() {
            command += &format!("X{i}={}; export X{i}\n", quote(name));
        }
        let patterns: Vec<String> = (0..except.len()).map(|i| format!("\"$X{i}\"/*")).collect();
        let skip = if patterns.is_empty() {
            String::new()
        } else {
            format!("case $f in {}) continue;; esac", patterns.join("|"))
        };
        command + SOURCE + &body.replace("EXCEPT", &skip).replace("ROWS", &rows.to_string())
    }

    /// The job of a command, if it is one of ours.
    pub fn of_command(command: &str) -> Option<Self> {
        let tag = command.lines().next()?.strip_prefix(TAG)?;
        let (word, rest) = tag.split_once(' ')?;
        let (_, area) = rest.split_once(' ')?;
        let verb = match word {
            "list" => Verb::List,
            "count" => Verb::Count,
            _ => return None,
        };
        let area = match serde_json::from_str(area).ok()? {
            Value::Null => Area::All,
            Value::String(name) => Area::Folder(name),
            names => Area::Except(serde_json::from_value(names).ok()?),
        };
        Some(Self { verb, area })
    }
}

/// True for a folder name that survives being printed, read and quoted. Others are counted by exclusion.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_job() {
        for area in [
            Area::All,
            Area::Folder("it's \"here\" now".to_owned()),
            Area::Except(vec!["a b".to_owned(), "$c".to_owned()]),
        ] {
            for job in [Job::list(area.clone()), Job::count(area.clone())] {
                for narrow in 0..=NARROWEST {
                    assert_eq!(Job::of_command(&job.command(narrow)), Some(job.clone()));
                }
            }
        }
        assert_eq!(Job::of_command("ls"), None);
    }

    #[test]
    fn commands_are_quoted_and_narrowed() {
        let job = Job::count(Area::Except(vec!["it's".to_owned(), "b".to_owned()]));
        let command = job.command(9);
        assert!(command.contains(r"X0='it'\''s'; export X0"));
        assert!(command.contains(r#"case $f in "$X0"/*|"$X1"/*) continue;; esac"#));
        assert!(command.contains("++r <= 12"));
        assert!(!command.contains("EXCEPT") && !command.contains("ROWS"));
    }

    #[test]
    fn names_that_survive() {
        assert!(is_plain("a b'\"*") && is_plain("ä"));
        assert!(!is_plain("") && !is_plain("a\u{1}b") && !is_plain("\u{fffd}"));
    }
}
