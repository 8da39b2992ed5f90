//! Whether the configuration of a project is read: the project says something, and a person decides whether it counts.

use std::path::{Path, PathBuf};

use super::layer::Layer;

/// What a person said of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Its configuration is read.
    Trusted,
    /// It is not, as was said.
    Untrusted,
    /// Nobody said anything: it is not.
    #[default]
    Unknown,
}

/// What was said of directories, the layer that counts most first.
#[derive(Debug, Default)]
pub struct Decisions(Vec<(PathBuf, Trust)>);

impl Decisions {
    /// Takes `projects."<path>".trust_level` from layers that are a person's own.
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Self {
        let leaves = layers.into_iter().flat_map(|layer| &layer.leaves);
        Self(
            leaves
                .filter_map(|leaf| match leaf.path.parts()[..] {
                    ["projects", path, "trust_level"] => {
                        let path = Path::new(path);
                        let trust = match &leaf.value {
                            super::value::Raw::Text(word) if word == "trusted" => Trust::Trusted,
                            _ => Trust::Untrusted,
                        };
                        Some((path.canonicalize().unwrap_or_else(|_| path.to_owned()), trust))
                    }
                    _ => None,
                })
                .collect(),
        )
    }

    /// What counts for a directory: what was said of the nearest one from it up to the root of its project.
    pub fn about(&self, dir: &Path, root: &Path) -> Trust {
        let dirs = dir.ancestors().take_while(|above| above.starts_with(root));
        let said = |dir: &Path| self.0.iter().find(|(path, _)| path == dir).map(|(_, trust)| *trust);
        dirs.into_iter().find_map(said).unwrap_or(Trust::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_directory_counts_and_the_first_layer_that_names_it() {
        let flag = |flag: &str| Layer::flag(flag).unwrap();
        let layers = [
            flag("projects.'/no/repo/a'.trust_level=untrusted"),
            flag("projects.'/no/repo'.trust_level=trusted"),
            flag("projects.'/no/repo/a'.trust_level=trusted"),
            flag("projects.'/no'.trust_level=trusted"),
            flag("projects.'/no/odd'.trust_level=maybe"),
        ];
        let decisions = Decisions::of(&layers);
        let about = |dir: &str, root: &str| decisions.about(Path::new(dir), Path::new(root));
        assert_eq!(about("/no/repo", "/no/repo"), Trust::Trusted);
        assert_eq!(about("/no/repo/b/c", "/no/repo"), Trust::Trusted);
        assert_eq!(about("/no/repo/a/x", "/no/repo"), Trust::Untrusted);
        assert_eq!(about("/no/other", "/no/other"), Trust::Unknown, "what is above the project does not count");
        assert_eq!(about("/no/odd", "/no/odd"), Trust::Untrusted);
    }
}
