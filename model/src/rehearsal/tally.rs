//! What was counted: by a shell command, by a child, or by all of them together.

use std::collections::BTreeMap;

use super::language::language;

/// Files, lines and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub files: u64,
    pub lines: u64,
    pub bytes: u64,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, more: Self) {
        self.files = self.files.saturating_add(more.files);
        self.lines = self.lines.saturating_add(more.lines);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// Where the names of the files came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Git,
    Find,
}

impl Source {
    pub fn word(self) -> &'static str {
        match self {
            Source::Git => "git",
            Source::Find => "find",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        [Source::Git, Source::Find].into_iter().find(|source| source.word() == word)
    }
}

/// A large file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Large {
    pub bytes: u64,
    pub lines: u64,
    pub name: String,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub source: Source,
    pub languages: BTreeMap<String, Sum>,
    /// The largest first, at most [`LARGEST`].
    pub largest: Vec<Large>,
    /// Names that are no files that can be read, by why.
    pub skipped: BTreeMap<String, u64>,
}

/// How many of the largest files are named.
pub(super) const LARGEST: usize = 5;

impl Tally {
    /// Nothing yet.
    pub fn new(source: Source) -> Self {
        Self { source, languages: BTreeMap::new(), largest: Vec::new(), skipped: BTreeMap::new() }
    }

    /// All languages together.
    pub fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.languages.values().for_each(|sum| total += *sum);
        total
    }

    /// How many names were skipped.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// The language with the most lines; of several, the first by name.
    pub fn main_language(&self) -> Option<&str> {
        let most = self.languages.iter().max_by(|a, b| a.1.lines.cmp(&b.1.lines).then_with(|| b.0.cmp(a.0)));
        most.map(|(name, _)| name.as_str())
    }

    /// Adds what another counted.
    pub fn add(&mut self, more: &Self) {
        self.source = self.source.max(more.source);
        for (name, sum) in &more.languages {
            *self.languages.entry(name.clone()).or_default() += *sum;
        }
        for (why, n) in &more.skipped {
            *self.skipped.entry(why.clone()).or_default() += n;
        }
        self.largest.extend(more.largest.iter().cloned());
        self.largest.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        self.largest.truncate(LARGEST);
    }

    /// Reads the output of a count command; `None` unless all of it is there.
    pub fn of_output(output: &str) -> Option<Self> {
        let mut tally = Self::new(source(output)?);
        let mut end = None;
        for line in output.lines() {
            let mut words = line.splitn(4, ' ');
            match words.next()? {
                "row" => {
                    let mut words = line.split(' ').skip(1);
                    let files = number(words.next())?;
                    let key = words.next()?;
                    let sum = Sum { files, lines: number(words.next())?, bytes: number(words.next())? };
                    *tally.languages.entry(language(key).to_owned()).or_default() += sum;
                }
                "big" => {
                    let (bytes, lines) = (number(words.next())?, number(words.next())?);
                    tally.largest.push(Large { bytes, lines, name: words.next()?.to_owned() });
                }
                "skip" => {
                    let n = number(words.next())?;
                    *tally.skipped.entry(words.next()?.to_owned()).or_default() += n;
                }
                "end" => {
                    end = Some(Sum {
                        files: number(words.next())?,
                        lines: number(words.next())?,
                        bytes: number(words.next())?,
                    });
                }
                // What a tool complained about stands between the rows.
                _ => {}
            }
        }
        (end == Some(tally.total())).then_some(tally)
    }
}

/// The folders directly below an area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// Folders with the number of files in them, the fullest first.
    pub folders: Vec<(String, u64)>,
    /// How many folders there are beyond those.
    pub more_folders: u64,
    /// All files.
    pub files: u64,
}

impl Listing {
    /// Reads the output of a list command; `None` unless all of it is there.
    pub fn of_output(output: &str) -> Option<Self> {
        source(output)?;
        let mut listing = Self { folders: Vec::new(), more_folders: 0, files: 0 };
        let mut end = None;
        for line in output.lines() {
            let mut words = line.splitn(3, ' ');
            match words.next()? {
                "dir" => {
                    let files = number(words.next())?;
                    listing.files += files;
                    listing.folders.push((words.next()?.to_owned(), files));
                }
                "more" => {
                    listing.more_folders = number(words.next())?;
                    listing.files += number(words.next())?;
                }
                "top" => listing.files += number(words.next())?,
                "end" => end = Some((number(words.next())?, number(words.next())?)),
                _ => {}
            }
        }
        let folders = listing.folders.len() as u64 + listing.more_folders;
        (end == Some((folders, listing.files))).then_some(listing)
    }
}

fn source(output: &str) -> Option<Source> {
    output.lines().find_map(|line| Source::of_word(line.strip_prefix("how ")?))
}

fn number(word: Option<&str>) -> Option<u64> {
    word?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_whole_or_not_at_all() {
        let output =
            "how git\nwc: odd: gone\nbig 30 2 a b.rs\nrow 2 .rs 5 40\nrow 1 - 1 2\nskip 3 folder\nend 3 6 42\n";
        let tally = Tally::of_output(output).unwrap();
        assert_eq!(tally.total(), Sum { files: 3, lines: 6, bytes: 42 });
        assert_eq!(tally.main_language(), Some("Rust"));
        assert_eq!(tally.largest, [Large { bytes: 30, lines: 2, name: "a b.rs".to_owned() }]);
        assert_eq!(tally.skipped_total(), 3);
        for part in ["how git\n", "row 2 .rs 5 40\n", "end 3 6 42\n"] {
            assert_eq!(Tally::of_output(&output.replace(part, "")), None, "without {part}");
        }
        let nothing = Tally::of_output("how find\nend 0 0 0\n").unwrap();
        assert_eq!((nothing.total(), nothing.main_language()), (Sum::default(), None));
    }

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let output = "how git\ndir 7 a b\ndir 2 c\nmore 1 1\ntop 4\nend 3 14\n";
        let folders = vec![("a b".to_owned(), 7), ("c".to_owned(), 2)];
        assert_eq!(Listing::of_output(output), Some(Listing { folders, more_folders: 1, files: 14 }));
        assert_eq!(Listing::of_output(&output.replace("dir 2 c\n", "")), None);
        assert_eq!(Listing::of_output(&output.replace("end 3 14\n", "")), None);
    }

    #[test]
    fn tallies_add_up() {
        let mut all = Tally::of_output("how git\nbig 3 1 a\nrow 1 .rs 1 3\nskip 1 link\nend 1 1 3\n").unwrap();
        all.add(
            &Tally::of_output("how find\nbig 9 1 b\nrow 1 .rs 1 9\nrow 1 .py 4 1\nskip 1 link\nend 2 5 10\n").unwrap(),
        );
        assert_eq!(all.total(), Sum { files: 3, lines: 6, bytes: 13 });
        assert_eq!(all.largest.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((all.skipped_total(), all.source), (2, Source::Find));
        assert_eq!(all.main_language(), Some("Python"));
    }
}
