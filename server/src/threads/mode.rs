//! What a mode of collaboration says to a model, where the client that chooses it has no words of its own.

use sapwood_protocol::app::settings::{CollaborationMode, ModeKind};

const DEFAULT: &str = "# Default mode\n\nDo what you are asked. Where something is open, take what is most likely meant, say \
that you did, and go on. What other modes said before does not hold any more; only the person changes the mode.";

const PLAN: &str = "# Plan mode\n\nThe person wants a plan, and nothing done yet. Look at whatever helps you, and change \
nothing: no files, no settings, nothing outside. Being asked to do something means being asked how it is to be done.\n\nFind \
out by yourself what can be found out. Ask what only the person can decide with `request_user_input`, a few questions at a \
time. Your plan is done when whoever follows it has nothing left to decide: give it as your answer. This holds until the \
person changes the mode.";

/// The words of the client, or ours.
pub(super) fn instructions(mode: &CollaborationMode) -> &str {
    mode.settings.developer_instructions.as_deref().unwrap_or(match mode.mode {
        ModeKind::Plan => PLAN,
        ModeKind::Default => DEFAULT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::app::settings::ModeSettings;

    #[test]
    fn a_mode_without_words_has_ours() {
        let mode = |mode, said: Option<&str>| CollaborationMode {
            mode,
            settings: ModeSettings {
                model: "m".into(),
                reasoning_effort: None,
                developer_instructions: said.map(str::to_owned),
            },
        };
        assert_eq!(instructions(&mode(ModeKind::Plan, None)), PLAN);
        assert_eq!(instructions(&mode(ModeKind::Default, None)), DEFAULT);
        assert_eq!(instructions(&mode(ModeKind::Plan, Some("sing"))), "sing");
        assert_eq!(instructions(&mode(ModeKind::Plan, Some(""))), "", "nothing at all is what it wants said");
    }
}
