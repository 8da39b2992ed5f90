use super::*;
use sapwood_protocol::approval::{FileSystem, Network};
use sapwood_protocol::asked::{Action, Resolution};

/// An agent in `/w` that may write there, and asks on request.
pub struct World {
    pub policy: ApprovalPolicy,
    pub sandbox: SandboxPolicy,
    pub roots: Vec<String>,
    pub grants: Grants,
    pub turn: Permissions,
}

impl Default for World {
    fn default() -> Self {
        Self {
            policy: ApprovalPolicy::OnRequest,
            sandbox: SandboxPolicy::workspace_write(),
            roots: vec!["/w".into()],
            grants: Grants::default(),
            turn: Permissions::default(),
        }
    }
}

impl World {
    pub fn rights(&self) -> Rights<'_> {
        Rights {
            policy: self.policy,
            sandbox: &self.sandbox,
            roots: &self.roots,
            tmpdir: Some("/var/folders/t"),
            grants: &self.grants,
            turn: &self.turn,
        }
    }

    fn with(policy: ApprovalPolicy, sandbox: SandboxPolicy) -> Self {
        Self { policy, sandbox, ..Self::default() }
    }
}

/// A policy that lets all kinds through but rules, or but approvals.
pub fn granular(sandbox_approval: bool) -> ApprovalPolicy {
    ApprovalPolicy::Granular(Granular {
        sandbox_approval,
        rules: !sandbox_approval,
        mcp_elicitations: true,
        request_permissions: false,
        skill_approval: true,
    })
}

fn call(script: &str) -> CommandCall {
    let command = vec!["/bin/bash".into(), "-lc".into(), script.into()];
    CommandCall { command, cwd: "/w".into(), tty: false, wish: Wish::default() }
}

fn escalated(script: &str) -> CommandCall {
    let wish =
        Wish { sandbox_permissions: Way::RequireEscalated, justification: Some("why not".into()), ..Wish::default() };
    CommandCall { wish, ..call(script) }
}

/// `run`, `free`, `ask`, `refused`.
fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Run(Confinement::Sandboxed(_)) => "run",
        Verdict::Run(Confinement::None) => "free",
        Verdict::Ask(_) => "ask",
        Verdict::Refused(_) => "refused",
    }
}

#[test]
fn what_runs_what_is_asked_and_what_is_refused() {
    use ApprovalPolicy::*;
    use SandboxPolicy::DangerFullAccess;
    let workspace = SandboxPolicy::workspace_write;
    let external = || SandboxPolicy::ExternalSandbox { network_access: Default::default() };
    let table = [
        // (policy, sandbox, plain write, escalated write, reading, rm -rf)
        (OnRequest, workspace(), ["run", "ask", "run", "ask"]),
        (OnRequest, SandboxPolicy::READ_ONLY, ["run", "ask", "run", "ask"]),
        (OnRequest, DangerFullAccess, ["free", "free", "free", "ask"]),
        (OnRequest, external(), ["free", "free", "free", "ask"]),
        (Never, workspace(), ["run", "refused", "run", "refused"]),
        (Never, DangerFullAccess, ["free", "free", "free", "free"]),
        (Untrusted, workspace(), ["ask", "ask", "run", "ask"]),
        (Untrusted, DangerFullAccess, ["ask", "ask", "free", "ask"]),
        (OnFailure, workspace(), ["run", "ask", "run", "ask"]),
        (granular(true), workspace(), ["run", "ask", "run", "ask"]),
        (granular(false), workspace(), ["run", "refused", "run", "ask"]),
    ];
    for (policy, sandbox, expected) in table {
        let world = World::with(policy, sandbox);
        let calls = [call("touch a"), escalated("touch a"), call("ls && cat x"), call("rm -rf zz")];
        let verdicts = calls.map(|call| kind(&world.rights().command(&call)));
        assert_eq!(verdicts, expected, "{policy:?} {:?}", world.sandbox);
    }
}

#[test]
fn a_question_is_the_one_recorded() {
    let world = World::with(ApprovalPolicy::OnRequest, SandboxPolicy::READ_ONLY);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let all = |script: &str| words(&["/bin/bash", "-lc", script]);
    let table = [
        ("touch a.txt", None, words(&["touch", "a.txt"])),
        ("touch p.txt", Some(words(&["touch"])), words(&["touch"])),
        ("touch p.txt", Some(words(&["mv"])), words(&["touch", "p.txt"])),
        ("python x.py", Some(words(&["python"])), words(&["python", "x.py"])),
        ("touch approved.txt && echo ok", None, words(&["touch", "approved.txt"])),
        ("cd /tmp && FOO=1 touch x | cat > y", None, all("cd /tmp && FOO=1 touch x | cat > y")),
    ];
    for (script, prefix_rule, amendment) in table {
        let mut call = escalated(script);
        call.wish.prefix_rule = prefix_rule;
        let ask = CommandAsk {
            command: all(script),
            cwd: "/w".into(),
            tty: false,
            reason: Some("why not".into()),
            actions: vec![Action::Unknown { cmd: script.into() }],
            unconfined: true,
            permissions: None,
            amendment: Some(amendment.clone()),
            decisions: vec![
                Decision::Accept,
                Decision::AcceptWithExecpolicyAmendment(Amendment { execpolicy_amendment: amendment }),
                Decision::Cancel,
            ],
        };
        assert_eq!(world.rights().command(&call), Verdict::Ask(Box::new(What::Command(Box::new(ask)))), "{script}");
    }
}

#[test]
fn without_rules_no_amendment_is_offered() {
    let world = World { policy: granular(true), ..World::default() };
    let Verdict::Ask(what) = world.rights().command(&call("rm -rf zz")) else { panic!("not asked") };
    let What::Command(ask) = *what else { panic!("{what:?}") };
    assert_eq!((ask.amendment, ask.decisions), (None, vec![Decision::Accept, Decision::Cancel]));
    assert!(!ask.unconfined, "what is allowed to run runs in the sandbox");
}

#[test]
fn named_rights_are_asked_for_once() {
    let mut world = World::default();
    let network = Some(Network { enabled: Some(true) });
    let files = FileSystem { read: Vec::new(), write: vec!["out".into()] };
    let mut call = call("touch b.txt");
    call.wish.sandbox_permissions = Way::WithAdditionalPermissions;
    assert_eq!(world.rights().command(&call), Verdict::Refused(NO_PERMISSIONS.into()));
    call.wish.additional_permissions = Some(Permissions { network, file_system: Some(files) });
    let files = FileSystem { read: Vec::new(), write: vec!["/w/out".into()] };
    let asked = Permissions { network, file_system: Some(files) };
    let Verdict::Ask(what) = world.rights().command(&call) else { panic!("not asked") };
    let What::Command(ask) = what.as_ref() else { panic!("{what:?}") };
    assert_eq!(ask.permissions.as_ref(), Some(&asked));
    assert_eq!(ask.decisions, [Decision::Accept, Decision::Cancel]);
    assert_eq!(world.rights().approved(ask), Confinement::Sandboxed(asked.clone()));
    world.turn.add(&asked);
    assert_eq!(world.rights().command(&call), Verdict::Run(Confinement::Sandboxed(asked)));
}

#[test]
fn what_was_granted_for_the_session_runs() {
    let mut world = World::default();
    let Verdict::Ask(what) = world.rights().command(&escalated("touch s.txt")) else { panic!("not asked") };
    world.grants.apply(&what, &Resolution::Decided { decision: Decision::AcceptForSession });
    assert_eq!(world.rights().command(&escalated("touch s.txt")), Verdict::Run(Confinement::None));
    assert_eq!(kind(&world.rights().command(&escalated("touch s2.txt"))), "ask");
    let elsewhere = CommandCall { cwd: "/x".into(), ..escalated("touch s.txt") };
    assert_eq!(kind(&world.rights().command(&elsewhere)), "ask");
    assert_eq!(kind(&world.rights().command(&call("touch s.txt"))), "run", "what is not asked for is not given");
    let rule = Amendment { execpolicy_amendment: vec!["touch".into()] };
    world.grants.apply(&what, &Resolution::Decided { decision: Decision::AcceptWithExecpolicyAmendment(rule) });
    assert_eq!(world.rights().command(&escalated("touch s2.txt")), Verdict::Run(Confinement::None));
}

#[test]
fn files_are_changed_where_the_sandbox_lets_them() {
    use ApprovalPolicy::*;
    let read_only = || SandboxPolicy::READ_ONLY;
    let workspace = SandboxPolicy::workspace_write;
    let outside = "patch rejected: writing outside of the project; rejected by user approval settings";
    let blocked = "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings";
    let ask = |path: &str| {
        Verdict::Ask(Box::new(What::FileChange { reason: None, grant_root: None, paths: vec![path.into()] }))
    };
    let run = || Verdict::Run(Confinement::None);
    let refused = |text: &str| Verdict::Refused(text.into());
    let table = [
        (OnRequest, workspace(), "/w/in.txt", run()),
        (OnRequest, workspace(), "/tmp/x", run()),
        (OnRequest, workspace(), "/var/folders/t/x", run()),
        (OnRequest, workspace(), "/w/.git/config", ask("/w/.git/config")),
        (OnRequest, workspace(), "/w/.gitignore", run()),
        (OnRequest, workspace(), "/wx/a", ask("/wx/a")),
        (OnRequest, read_only(), "/w/in.txt", ask("/w/in.txt")),
        (OnRequest, SandboxPolicy::DangerFullAccess, "/etc/x", run()),
        (Untrusted, workspace(), "/w/in.txt", ask("/w/in.txt")),
        (Never, workspace(), "/w/in.txt", run()),
        (Never, workspace(), "/var/x", refused(outside)),
        (Never, read_only(), "/w/in.txt", refused(blocked)),
        (granular(false), workspace(), "/var/x", refused(outside)),
        (granular(true), workspace(), "/var/x", ask("/var/x")),
    ];
    for (policy, sandbox, path, verdict) in table {
        let world = World::with(policy, sandbox);
        assert_eq!(world.rights().change(vec![path.into()]), verdict, "{policy:?} {path}");
    }
    let mut world = World::default();
    let paths = absolute_paths("/w", ["a", "../out/b"]);
    assert_eq!(paths, ["/w/a", "/out/b"]);
    let Verdict::Ask(what) = world.rights().change(paths.clone()) else { panic!("not asked") };
    world.grants.apply(&what, &Resolution::Decided { decision: Decision::AcceptForSession });
    assert_eq!(world.rights().change(paths), run());
}

#[test]
fn what_the_sandbox_stopped_is_left_unless_the_policy_wants_it_again() {
    let table = [
        (ApprovalPolicy::OnRequest, Retry::Leave, Retry::Leave),
        (ApprovalPolicy::Never, Retry::Leave, Retry::Leave),
        (granular(true), Retry::Leave, Retry::Leave),
        (ApprovalPolicy::Untrusted, Retry::Ask, Retry::Unconfined),
        (ApprovalPolicy::OnFailure, Retry::Ask, Retry::Unconfined),
    ];
    for (policy, fresh, approved) in table {
        let world = World { policy, ..World::default() };
        let after = [false, true].map(|was_approved| world.rights().after_denial(was_approved));
        assert_eq!(after, [fresh, approved], "{policy:?}");
    }
    let What::Command(ask) = World::default().rights().ask_again(&call("touch /x")) else { panic!("another question") };
    assert!(ask.unconfined && ask.reason.is_some());
}

#[test]
fn arguments_of_a_model_are_read() {
    let wish: Wish = serde_json::from_str(
        r#"{"sandbox_permissions":"require_escalated","justification":"why not","prefix_rule":["touch"]}"#,
    )
    .unwrap();
    let expected = Wish { prefix_rule: Some(vec!["touch".into()]), ..escalated("x").wish };
    assert_eq!(wish, expected);
    assert_eq!(serde_json::from_str::<Wish>("{}").unwrap(), Wish::default());
    assert!(serde_json::from_str::<Wish>(r#"{"sandbox_permissions":"please"}"#).is_err());
}
