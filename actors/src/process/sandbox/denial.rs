//! Whether a command failed because of its sandbox: a guess, from how it ended and what it said.
//!
//! The kernel tells nobody that it refused something, so there is only the command's own report. It counts as a denial if the command
//! ran in a sandbox, did not succeed, and its output has the system's text for one of the errors that a sandbox causes: those of
//! Landlock (`EACCES`, and `EXDEV` for a move that it forbids), of read-only mounts (`EROFS`), of missing rights (`EPERM`), and, with
//! network access off, of a world without network.
//!
//! It errs both ways. A file that belongs to somebody else is refused in the same words: that costs one question too many. A program
//! that translates its messages or keeps them to itself is not noticed: the model sees its output and can ask by itself.

use super::SandboxMode;
use crate::process::Exit;

/// So much of the output's end is looked at: an error is the last thing a failing command says.
const LOOKED_AT_BYTES: usize = 64 << 10;

/// The texts of the errors by which files are refused, in lower case.
const FILES: [&str; 4] =
    ["permission denied", "operation not permitted", "read-only file system", "invalid cross-device link"];

/// The texts of the errors that mean "no network", by the system, the resolver and what is used most.
const NETWORK: [&str; 7] = [
    "network is unreachable",
    "temporary failure in name resolution",
    "could not resolve host",
    "name or service not known",
    "failed to lookup address",
    "eai_again",
    "dns error",
];

/// Whether the failure looks like one that the sandbox caused, so that running it without one may succeed.
pub fn looks_denied(mode: &SandboxMode, exit: &Exit, output: &str) -> bool {
    let failed = matches!(exit, Exit::Code(code) if *code != 0) || matches!(exit, Exit::Signal(_));
    if !failed || matches!(mode, SandboxMode::DangerFullAccess) {
        return false;
    }
    let start = output.ceil_char_boundary(output.len().saturating_sub(LOOKED_AT_BYTES));
    let end = output[start..].to_ascii_lowercase();
    FILES.iter().any(|text| end.contains(text))
        || !mode.network_access() && NETWORK.iter().any(|text| end.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_in_a_sandbox_with_its_words_is_a_denial() {
        let closed = SandboxMode::READ_ONLY;
        let open = SandboxMode::ReadOnly { network_access: true };
        let far = format!("Permission denied{}", " ".repeat(LOOKED_AT_BYTES));
        let cases = [
            (&closed, Exit::Code(1), "sh: 1: cannot create x: Permission denied", true),
            (&closed, Exit::Code(128), "fatal: Unable to create '.git/index.lock': Read-only file system", true),
            (&closed, Exit::Signal(6), "EPERM: operation not permitted, open 'x'", true),
            (&closed, Exit::Code(6), "curl: (6) Could not resolve host: example.org", true),
            (&open, Exit::Code(6), "curl: (6) Could not resolve host: example.org", false),
            (&closed, Exit::Code(0), "Permission denied", false),
            (&closed, Exit::Code(1), "test failed: 1 of 2", false),
            (&closed, Exit::Code(127), "sh: 1: nothing: not found", false),
            (&closed, Exit::Code(1), &far, false),
            (&closed, Exit::TimedOut, "Permission denied", false),
            (&closed, Exit::Cancelled, "Permission denied", false),
            (&SandboxMode::DangerFullAccess, Exit::Code(1), "Permission denied", false),
        ];
        for (mode, exit, output, expected) in cases {
            assert_eq!(looks_denied(mode, &exit, output), expected, "{exit:?} {output:.80}");
        }
    }
}
