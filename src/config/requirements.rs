//! What the machine's owner requires and proposes: `requirements.toml` beside each of the machine's configuration files.
//!
//! Of each key the first file that sets it counts. A requirement that is passed over is none: what is not of its kind is an
//! error, and what is not kept here a warning.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sapwood_actors::agent::allowed::Allowed;
use sapwood_protocol::app::config::{ConfigRequirements, ModelsRequirements, NewThreadDefaults};
use sapwood_protocol::approval::SandboxPolicy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use super::layer::{Layer, Rank, Source};
use super::rights::{PROFILES, Sandbox};
use super::seen;
use crate::exit::Failure;
use crate::home::Homes;

/// The name of the file.
const FILE: &str = "requirements.toml";
/// Where the kernel tells the name of this machine.
const HOST: &str = "/proc/sys/kernel/hostname";
/// The kinds of sandbox that can be named in it.
const SANDBOXES: &str = "a list of read-only, workspace-write, danger-full-access and external-sandbox";
/// The keys that are kept.
const KEPT: [&str; 8] = [
    "additional_developer_instructions",
    "allowed_approval_policies",
    "allowed_approvals_reviewers",
    "allowed_permission_profiles",
    "allowed_sandbox_modes",
    "default_permissions",
    "models",
    "remote_sandbox_config",
];
/// The keys about things that there are not here: nobody can have too much of them.
const WITHOUT_OBJECT: [&str; 15] = [
    "allow_appshots",
    "allow_browser_and_computer_use",
    "allow_managed_hooks_only",
    "allow_remote_control",
    "allowed_web_search_modes",
    "allowed_windows_sandbox_implementations",
    "application",
    "apps",
    "browser_use",
    "check_for_update_on_startup",
    "computer_use",
    "feedback",
    "in_app_browser",
    "mcp_servers",
    "plugins",
];

/// What is required and proposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirements {
    /// What agents may have.
    pub allowed: Allowed,
    /// The permission profile of whom nothing else is configured for.
    pub default_profile: Option<&'static str>,
    /// What every model is told.
    pub developer_instructions: Option<String>,
    /// What clients propose for a new thread.
    pub new_thread: Option<NewThreadDefaults>,
    /// What is said and not kept, for a person.
    pub warnings: Vec<String>,
    /// The kinds of sandbox, as they are listed.
    modes: Option<Vec<String>>,
    /// Which permission profiles may be chosen.
    profiles: Option<BTreeMap<String, bool>>,
    /// Nothing is said that is known.
    is_empty: bool,
}

/// Kinds of sandbox for machines of some names.
#[derive(Deserialize)]
struct OfHosts {
    hostname_patterns: Vec<String>,
    allowed_sandbox_modes: Json,
}

impl Requirements {
    /// Those of this machine.
    ///
    /// # Errors
    /// A file that cannot be used: what it requires is not known then.
    pub fn of(homes: &Homes) -> Result<Self, Failure> {
        let host = std::fs::read_to_string(HOST).unwrap_or_default();
        Self::on(host.trim(), homes)
    }

    fn on(host: &str, homes: &Homes) -> Result<Self, Failure> {
        let (mut all, mut warnings) = (Map::new(), Vec::new());
        for folder in homes.system.iter().rev().filter_map(|config| config.parent()) {
            let source = Source { path: folder.join(FILE), rank: Rank::System };
            if let Some(Layer { mut tree, .. }) = Layer::read(&source)? {
                let wrong = |why: String| wrong(&source.path, &why);
                // Each file by itself: what is wrong in one is not hidden by another.
                of_host(&mut tree, host).map_err(wrong)?;
                Self::read(&tree).map_err(wrong)?;
                warnings.extend(not_kept(&tree, &source.path));
                seen::lay_over(&mut all, &tree);
            }
        }
        let wrong = |why: &str| wrong(Path::new(FILE), why);
        let read = Self::read(&all).map_err(|why| wrong(&why))?;
        // What threads begin with where nobody says otherwise.
        if read.default_profile.is_none() && ![":read-only", ":workspace"].iter().all(|id| read.has_profile(id)) {
            return Err(wrong(
                "`default_permissions` must be set, since `allowed_permission_profiles` does not allow both :workspace and \
                 :read-only",
            ));
        }
        Ok(Self { warnings, ..read })
    }

    /// What these tables say.
    fn read(all: &Map<String, Json>) -> Result<Self, String> {
        let modes = modes(all)?;
        let profiles = profiles(all)?;
        let approval_policies =
            list(all, "allowed_approval_policies", "a list of untrusted, on-request, never and tables `granular`")?;
        let reviewers = list(all, "allowed_approvals_reviewers", "a list of user and auto_review")?;
        let allowed = Allowed {
            sandboxes: of_both(modes.as_deref(), profiles.as_ref()),
            approval_policies: approval_policies.map(Into::into),
            reviewers: reviewers.map(Into::into),
        };
        let mut requirements = Self {
            allowed,
            default_profile: None,
            developer_instructions: text(all, "", "additional_developer_instructions")?,
            new_thread: new_thread(all)?,
            warnings: Vec::new(),
            modes,
            profiles,
            is_empty: !KEPT.iter().any(|key| all.contains_key(*key)),
        };
        if let Some(id) = text(all, "", "default_permissions")? {
            let known = PROFILES.into_iter().find(|(own, _)| *own == id && requirements.has_profile(own));
            let (own, _) = known.ok_or_else(|| {
                format!("`default_permissions` must be a built-in permission profile that is allowed, and is `{id}`")
            })?;
            requirements.default_profile = Some(own);
        }
        Ok(requirements)
    }

    /// True if a client may choose this permission profile.
    fn has_profile(&self, id: &str) -> bool {
        self.profiles.as_ref().is_none_or(|profiles| profiles.get(id) == Some(&true))
    }

    /// Why this may not be chosen; nothing if it may.
    pub fn refuses(&self, chosen: &Sandbox) -> Option<String> {
        let id = chosen.profile.filter(|id| !self.has_profile(id));
        if let Some(id) = id {
            return Some(format!(
                "the permission profile `{id}` is not allowed on this machine (allowed_permission_profiles in {FILE})"
            ));
        }
        let name = chosen.policy.name();
        let is_listed = self.modes.as_ref().is_none_or(|modes| modes.iter().any(|mode| mode == name));
        let key = if is_listed { "allowed_permission_profiles" } else { "allowed_sandbox_modes" };
        (*self.allowed.sandbox(&chosen.policy) != chosen.policy)
            .then(|| format!("the sandbox `{name}` is not allowed on this machine ({key} in {FILE})"))
    }

    /// What clients see of it; nothing if no file says anything.
    pub fn wire(&self) -> Option<ConfigRequirements> {
        let allowed = &self.allowed;
        let wire = ConfigRequirements {
            additional_developer_instructions: self.developer_instructions.clone(),
            allowed_approval_policies: allowed
                .approval_policies
                .as_ref()
                .map(|own| own.iter().map(|policy| json!(policy)).collect()),
            allowed_approvals_reviewers: allowed.reviewers.as_ref().map(|own| own.to_vec()),
            allowed_permission_profiles: self.profiles.clone(),
            allowed_sandbox_modes: self.modes.clone(),
            default_permissions: self.default_profile.map(str::to_owned),
            models: self.new_thread.clone().map(|defaults| ModelsRequirements { new_thread: Some(defaults) }),
        };
        (!self.is_empty).then_some(wire)
    }
}

fn wrong(path: &Path, why: &str) -> Failure {
    Failure::configuration(format!("{}: {why}", path.display()))
}

/// The keys of a file that nothing here keeps.
fn not_kept(tree: &Map<String, Json>, path: &Path) -> Vec<String> {
    let is_passed = |key: &&String| !KEPT.contains(&key.as_str()) && !WITHOUT_OBJECT.contains(&key.as_str());
    let keys = tree.keys().filter(is_passed);
    keys.map(|key| format!("{}: `{key}` is not enforced in this version", path.display())).collect()
}

/// Of a file's lists of sandboxes for some machines, the first that is for this one takes the place of its list for all.
fn of_host(tree: &mut Map<String, Json>, host: &str) -> Result<(), String> {
    let key = "remote_sandbox_config";
    let Some(lists) = tree.remove(key) else { return Ok(()) };
    let kind = "a list of tables with `hostname_patterns` and `allowed_sandbox_modes`";
    let lists: Vec<OfHosts> = serde_json::from_value(lists).map_err(|_| format!("`{key}` must be {kind}"))?;
    let is_here =
        |list: &OfHosts| list.hostname_patterns.iter().any(|pattern| fits(pattern.as_bytes(), host.as_bytes()));
    if let Some(list) = lists.into_iter().find(is_here) {
        tree.insert("allowed_sandbox_modes".to_owned(), list.allowed_sandbox_modes);
    }
    Ok(())
}

/// True if a name is as the pattern says, where `*` stands for any characters and `?` for one. Case does not matter.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // The place after the newest star, and the first character that it does not stand for yet.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, of));
                at += 1;
            }
            Some(own) if *own == b'?' || own.eq_ignore_ascii_case(&name[of]) => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((after, first)) => {
                    star = Some((after, first + 1));
                    (at, of) = (after, first + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

/// The text of a key of the table of that name.
fn text(table: &Map<String, Json>, name: &str, key: &str) -> Result<Option<String>, String> {
    match table.get(key) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}{key}` must be a string")),
    }
}

/// A list of one kind, with something in it.
fn list<T: DeserializeOwned>(all: &Map<String, Json>, key: &str, kind: &str) -> Result<Option<Vec<T>>, String> {
    let Some(value) = all.get(key) else { return Ok(None) };
    let list: Vec<T> = serde_json::from_value(value.clone()).map_err(|_| format!("`{key}` must be {kind}"))?;
    match list.is_empty() {
        true => Err(format!("`{key}` must not be empty: it is {kind}")),
        false => Ok(Some(list)),
    }
}

fn modes(all: &Map<String, Json>) -> Result<Option<Vec<String>>, String> {
    let key = "allowed_sandbox_modes";
    let Some(modes) = list::<String>(all, key, SANDBOXES)? else { return Ok(None) };
    let is_known = |mode: &String| SandboxPolicy::of_mode(mode).is_some() || mode == "external-sandbox";
    if !modes.iter().all(is_known) {
        return Err(format!("`{key}` must be {SANDBOXES}"));
    }
    // It is what holds where nothing else may.
    match modes.iter().any(|mode| mode == "read-only") {
        true => Ok(Some(modes)),
        false => Err(format!("`{key}` must have read-only among them")),
    }
}

fn profiles(all: &Map<String, Json>) -> Result<Option<BTreeMap<String, bool>>, String> {
    let key = "allowed_permission_profiles";
    let Some(value) = all.get(key) else { return Ok(None) };
    let wrong = |_| format!("`{key}` must be a table of permission profiles, each true or false");
    serde_json::from_value(value.clone()).map(Some).map_err(wrong)
}

/// The kinds of sandbox that both lists allow: a mode is as good as the permission profile that it is.
fn of_both(modes: Option<&[String]>, profiles: Option<&BTreeMap<String, bool>>) -> Option<Arc<[String]>> {
    let Some(profiles) = profiles else { return modes.map(Into::into) };
    let is_listed = |mode: &str| modes.is_none_or(|modes| modes.iter().any(|own| own == mode));
    let both = PROFILES.into_iter().filter(|(id, mode)| profiles.get(*id) == Some(&true) && is_listed(mode));
    Some(both.map(|(_, mode)| mode.to_owned()).collect())
}

fn new_thread(all: &Map<String, Json>) -> Result<Option<NewThreadDefaults>, String> {
    let Some(table) = all.get("models").and_then(|models| models.get("new_thread")).and_then(Json::as_object) else {
        return Ok(None);
    };
    let text = |key| text(table, "models.new_thread.", key);
    Ok(Some(NewThreadDefaults {
        model: text("model")?,
        model_reasoning_effort: text("model_reasoning_effort")?,
        service_tier: text("service_tier")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_fit_patterns() {
        let yes = [
            ("*", ""),
            ("*", "a.b"),
            ("devbox-*", "DEVBOX-1.corp"),
            ("*.corp", "a.corp"),
            ("a?c", "abc"),
            ("*b*d", "abcd"),
        ];
        let no =
            [("", "a"), ("a", ""), ("a?c", "ac"), ("*.corp", "a.corp.x"), ("devbox-*", "my-devbox-1"), ("a*b", "abc")];
        for (pattern, name) in yes {
            assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    fn homes(files: &[(&str, &str)]) -> (tempfile::TempDir, Homes) {
        let root = tempfile::tempdir().unwrap();
        let system = ["ours", "theirs"].map(|folder| root.path().join(folder).join("config.toml"));
        for (folder, text) in files {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join(FILE), text).unwrap();
        }
        let [home, state, config, codex] = ["home", "state", "config", "codex"].map(|name| root.path().join(name));
        let homes = Homes { home, state, config, codex, system: system.to_vec(), by_codex_home: false };
        (root, homes)
    }

    /// The kinds of sandbox that agents may have on a machine.
    fn sandboxes(host: &str, files: &[(&str, &str)]) -> Option<Vec<String>> {
        let (_root, homes) = homes(files);
        Requirements::on(host, &homes).unwrap().allowed.sandboxes.map(|own| own.to_vec())
    }

    #[test]
    fn lists_for_some_machines_count_within_their_file() {
        let all = "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\n";
        let some = "[[remote_sandbox_config]]\nhostname_patterns = [\"ci-*\"]\nallowed_sandbox_modes = [\"read-only\"]\n\
                    [[remote_sandbox_config]]\nhostname_patterns = [\"ci-1\", \"dev-*\"]\n\
                    allowed_sandbox_modes = [\"read-only\", \"danger-full-access\"]\n";
        let both = format!("{all}{some}");
        let list = |modes: &[&str]| Some(modes.iter().map(|mode| (*mode).to_owned()).collect::<Vec<_>>());
        let (narrow, usual) = (list(&["read-only"]), list(&["read-only", "workspace-write"]));
        assert_eq!(sandboxes("ci-1", &[("theirs", &both)]), narrow, "the first that fits");
        assert_eq!(sandboxes("dev-1", &[("theirs", &both)]), list(&["read-only", "danger-full-access"]));
        assert_eq!(sandboxes("laptop", &[("theirs", &both)]), usual);
        assert_eq!(sandboxes("laptop", &[("theirs", some)]), None);
        assert_eq!(sandboxes("ci-1", &[("ours", all), ("theirs", some)]), usual, "the first file counts");
        assert_eq!(sandboxes("ci-1", &[("ours", some), ("theirs", all)]), narrow);
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let (root, of) = homes(&[("ours", "bogus = 1\nplugins = []\n[experimental_network]\nenabled = true\n")]);
        let read = Requirements::on("", &of).unwrap();
        let path = root.path().join("ours").join(FILE);
        let warning = |key: &str| format!("{}: `{key}` is not enforced in this version", path.display());
        assert_eq!(read.warnings, [warning("bogus"), warning("experimental_network")]);
        assert_eq!((read.wire(), read.allowed), (None, Allowed::default()));
        for (text, why) in [
            ("allowed_sandbox_modes = [\"workspace-write\"]", "`allowed_sandbox_modes` must have read-only among them"),
            (
                "allowed_sandbox_modes = [\"read-only\", \"wild\"]",
                "`allowed_sandbox_modes` must be a list of read-only, workspace-write, danger-full-access and external-sandbox",
            ),
            (
                "allowed_approvals_reviewers = []",
                "`allowed_approvals_reviewers` must not be empty: it is a list of user and auto_review",
            ),
            (
                "default_permissions = \"mine\"",
                "`default_permissions` must be a built-in permission profile that is allowed, and is `mine`",
            ),
            (
                "remote_sandbox_config = 1",
                "`remote_sandbox_config` must be a list of tables with `hostname_patterns` and `allowed_sandbox_modes`",
            ),
        ] {
            let (root, of) = homes(&[("theirs", text)]);
            let path = root.path().join("theirs").join(FILE);
            let failure = Requirements::on("", &of).unwrap_err();
            assert_eq!(failure, Failure::configuration(format!("{}: {why}", path.display())));
        }
    }

    #[test]
    fn a_profile_that_threads_begin_with_is_allowed() {
        let profiles = "allowed_permission_profiles = {\":workspace\" = true}\n";
        let (_root, of) = homes(&[("theirs", profiles)]);
        let why = "requirements.toml: `default_permissions` must be set, since `allowed_permission_profiles` does not allow \
                   both :workspace and :read-only";
        assert_eq!(Requirements::on("", &of), Err(Failure::configuration(why)));
        // What one file lacks, another may say.
        let (_root, of) = homes(&[("theirs", profiles), ("ours", "default_permissions = \":workspace\"\n")]);
        let read = Requirements::on("", &of).unwrap();
        assert_eq!(read.default_profile, Some(":workspace"));
        let chosen = |id: &'static str, policy| Sandbox { policy, profile: Some(id) };
        assert_eq!(read.refuses(&chosen(":workspace", SandboxPolicy::workspace_write())), None);
        let why = "the permission profile `:read-only` is not allowed on this machine (allowed_permission_profiles in \
                   requirements.toml)";
        assert_eq!(read.refuses(&chosen(":read-only", SandboxPolicy::READ_ONLY)).as_deref(), Some(why));
        let mode = Sandbox { policy: SandboxPolicy::READ_ONLY, profile: None };
        assert_eq!(read.refuses(&mode), None, "the most careful one is never too much");
    }
}
