//! Rights beside those of the profile: what a model asks for, and what it was granted.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::paths::is_below;
use super::profile::{AccessMode, EntryPath, FileSystemEntry};

/// Rights beside those of the profile: asked for, or granted. Serialised in the form of rollouts and of models; read in
/// that of clients too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permissions {
    /// Connections.
    #[serde(default)]
    pub network: Option<Network>,
    /// Files.
    #[serde(default, alias = "fileSystem")]
    pub file_system: Option<FileSystem>,
}

/// Connections to other machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    /// All of them, or none.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// Files, by absolute paths. A right holds for all below a path, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct FileSystem {
    /// To be read.
    pub read: Vec<String>,
    /// To be read and written.
    pub write: Vec<String>,
}

impl<'de> Deserialize<'de> for FileSystem {
    /// Lists, entries, or both. An entry that names no path of its own, or takes a right away, grants nothing.
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            #[serde(default)]
            read: Option<Vec<String>>,
            #[serde(default)]
            write: Option<Vec<String>>,
            #[serde(default)]
            entries: Option<Vec<FileSystemEntry>>,
        }
        let Form { read, write, entries } = Form::deserialize(value)?;
        let mut files = FileSystem { read: read.unwrap_or_default(), write: write.unwrap_or_default() };
        for entry in entries.into_iter().flatten() {
            let list = match entry.access {
                AccessMode::Read => &mut files.read,
                AccessMode::Write => &mut files.write,
                AccessMode::Deny => continue,
            };
            if let EntryPath::Path { path } = entry.path {
                add(list, path);
            }
        }
        Ok(files)
    }
}

impl FileSystem {
    fn is_empty(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }

    pub(super) fn entries(&self) -> Vec<FileSystemEntry> {
        let entry = |path: &String, access| FileSystemEntry {
            path: EntryPath::Path { path: path.clone() },
            access,
            missing_path_behavior: None,
        };
        let read = self.read.iter().map(|path| entry(path, AccessMode::Read));
        read.chain(self.write.iter().map(|path| entry(path, AccessMode::Write))).collect()
    }

    fn may_read(&self, path: &str) -> bool {
        self.read.iter().chain(&self.write).any(|root| is_below(path, root))
    }

    fn may_write(&self, path: &str) -> bool {
        self.write.iter().any(|root| is_below(path, root))
    }
}

impl Permissions {
    /// True if nothing is asked for, or granted.
    pub fn is_empty(&self) -> bool {
        !self.has_network() && self.file_system.as_ref().is_none_or(FileSystem::is_empty)
    }

    /// True if it holds for connections.
    pub fn has_network(&self) -> bool {
        self.network.is_some_and(|network| network.enabled == Some(true))
    }

    /// True if a file may be written by it.
    pub fn may_write(&self, path: &str) -> bool {
        self.file_system.as_ref().is_some_and(|files| files.may_write(path))
    }

    /// True if it has all that `asked` has.
    pub fn covers(&self, asked: &Permissions) -> bool {
        let none = FileSystem::default();
        let files = self.file_system.as_ref().unwrap_or(&none);
        let wanted = asked.file_system.as_ref().unwrap_or(&none);
        (self.has_network() || !asked.has_network())
            && wanted.read.iter().all(|path| files.may_read(path))
            && wanted.write.iter().all(|path| files.may_write(path))
    }

    /// The part of it that `asked` asked for: nobody gets more than they asked for.
    pub fn within(&self, asked: &Permissions) -> Permissions {
        let none = FileSystem::default();
        let granted = self.file_system.as_ref().unwrap_or(&none);
        let wanted = asked.file_system.as_ref().unwrap_or(&none);
        // What was asked for and lies in what is granted, and what is granted and lies in what was asked for.
        let mut files = FileSystem::default();
        for path in granted.write.iter().filter(|path| wanted.may_write(path)) {
            add(&mut files.write, path.clone());
        }
        for path in wanted.write.iter().filter(|path| granted.may_write(path)) {
            add(&mut files.write, path.clone());
        }
        let readable = granted.read.iter().filter(|path| wanted.may_read(path));
        for path in readable.chain(wanted.read.iter().filter(|path| granted.may_read(path))) {
            add(&mut files.read, path.clone());
        }
        let network = (self.has_network() && asked.has_network()).then_some(Network { enabled: Some(true) });
        Permissions { network, file_system: (!files.is_empty()).then_some(files) }
    }

    /// Takes over what `more` has.
    pub fn add(&mut self, more: &Permissions) {
        if more.has_network() {
            self.network = Some(Network { enabled: Some(true) });
        }
        if let Some(more) = &more.file_system {
            let files = self.file_system.get_or_insert_default();
            more.read.iter().for_each(|path| add(&mut files.read, path.clone()));
            more.write.iter().for_each(|path| add(&mut files.write, path.clone()));
        }
    }

    /// The form for clients: the two lists, and the same as entries.
    pub fn wire(&self) -> Value {
        let files = self.file_system.as_ref().map(|files| {
            let list = |paths: &[String]| if paths.is_empty() { Value::Null } else { json!(paths) };
            json!({"read": list(&files.read), "write": list(&files.write), "entries": files.entries()})
        });
        json!({"network": self.network, "fileSystem": files})
    }
}

fn add(list: &mut Vec<String>, path: String) {
    if !list.contains(&path) {
        list.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, to_value};

    fn files(read: &[&str], write: &[&str]) -> Permissions {
        let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Permissions { network: None, file_system: Some(FileSystem { read: list(read), write: list(write) }) }
    }

    fn net(mut permissions: Permissions) -> Permissions {
        permissions.network = Some(Network { enabled: Some(true) });
        permissions
    }

    #[test]
    fn permissions_come_in_two_forms_and_go_out_in_either() {
        let asked = net(files(&["/etc"], &["/q"]));
        let core = json!({"network": {"enabled": true}, "file_system": {"read": ["/etc"], "write": ["/q"]}});
        assert_eq!(from_value::<Permissions>(core.clone()).unwrap(), asked);
        assert_eq!(to_value(&asked).unwrap(), core);
        let wire = json!({"network": {"enabled": true}, "fileSystem": {"read": ["/etc"], "write": ["/q"], "entries": [
            {"path": {"type": "path", "path": "/etc"}, "access": "read"},
            {"path": {"type": "path", "path": "/q"}, "access": "write"},
        ]}});
        assert_eq!(asked.wire(), wire);
        assert_eq!(from_value::<Permissions>(wire).unwrap(), asked);
        let nothing = json!({"network": null, "fileSystem": null});
        assert_eq!(Permissions::default().wire(), nothing);
        assert!(from_value::<Permissions>(nothing).unwrap().is_empty());
    }

    #[test]
    fn nobody_gets_more_than_they_asked_for() {
        let table = [
            (net(files(&[], &["/other"])), net(files(&["/etc"], &["/q"])), net(Permissions::default())),
            (files(&["/"], &["/"]), files(&["/etc"], &["/q"]), files(&["/etc"], &["/q"])),
            (files(&[], &["/q/a"]), files(&[], &["/q"]), files(&[], &["/q/a"])),
            (net(Permissions::default()), files(&[], &["/q"]), Permissions::default()),
            (files(&["/q"], &[]), files(&[], &["/q"]), files(&["/q"], &[])),
        ];
        for (granted, asked, left) in table {
            assert_eq!(granted.within(&asked), left, "{granted:?} of {asked:?}");
        }
    }

    #[test]
    fn what_is_covered_is_not_asked_again() {
        let mut have = files(&["/etc"], &["/q"]);
        assert!(have.covers(&files(&[], &["/q/sub"])) && have.covers(&Permissions::default()));
        assert!(!have.covers(&files(&[], &["/etc"])) && !have.covers(&net(Permissions::default())));
        have.add(&net(files(&[], &["/x", "/q"])));
        assert_eq!(have, net(files(&["/etc"], &["/q", "/x"])));
        assert!(have.may_write("/x/y") && !have.may_write("/etc/y"));
    }
}
