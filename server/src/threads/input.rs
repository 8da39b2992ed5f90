//! What a client may say at once.

use sapwood_protocol::app::UserInput;
use serde_json::json;

use crate::rpc::{INVALID_PARAMS, RpcError};

/// Characters of all texts of one input, at most: what the real server takes.
const MAX_CHARS: usize = 1 << 20;

/// Refuses input that is too long.
pub(super) fn check(input: &[UserInput]) -> Result<(), RpcError> {
    let chars = input.iter().map(|part| match part {
        UserInput::Text { text, .. } => text.chars().count(),
        _ => 0,
    });
    let actual: usize = chars.sum();
    if actual <= MAX_CHARS {
        return Ok(());
    }
    let data = json!({"input_error_code": "input_too_large", "max_chars": MAX_CHARS, "actual_chars": actual});
    let message = format!("Input exceeds the maximum length of {MAX_CHARS} characters.");
    Err(RpcError { code: INVALID_PARAMS, ..RpcError::invalid(message).with_data(data) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_input_passes_and_one_more_character_does_not() {
        let half = "ä".repeat(MAX_CHARS / 2);
        let mut input = vec![UserInput::text(half.clone()), UserInput::text(half)];
        assert_eq!(check(&input), Ok(()));
        input.push(UserInput::text("x"));
        let error = check(&input).unwrap_err();
        assert_eq!((error.code, &*error.message), (-32602, "Input exceeds the maximum length of 1048576 characters."));
        let data = json!({"input_error_code": "input_too_large", "max_chars": 1_048_576, "actual_chars": 1_048_577});
        assert_eq!(error.data, Some(data));
    }
}
