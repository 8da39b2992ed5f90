//! Whether the model that answers is the one that was asked.

/// True if `served` is `asked`: the same name, or a dated snapshot of it (`gpt-5.5` and `gpt-5.5-2026-04-14`).
/// Letter case, and a vendor in front of the name (`openai/gpt-5.5`), make no difference.
pub(crate) fn is_same_model(asked: &str, served: &str) -> bool {
    let bare = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let (asked, served) = (bare(asked), bare(served));
    let is_date = |rest: &str| rest.starts_with('-') && rest.chars().all(|c| c == '-' || c.is_ascii_digit());
    asked == served || served.strip_prefix(asked.as_str()).is_some_and(|rest| rest.len() > 6 && is_date(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_model() {
        for (asked, served, same) in [
            ("gpt-5.5", "gpt-5.5", true),
            ("gpt-5.5", "GPT-5.5-2026-04-14", true),
            ("openai/gpt-5.5", "gpt-5.5", true),
            ("gpt-5.5", "gpt-5.5-20260414", true),
            ("gpt-5.5", "gpt-5.5-mini", false),
            ("gpt-5.5", "gpt-5.5-2", false),
            ("gpt-5.5-mini", "gpt-5.5", false),
            ("gpt-5", "gpt-5.5", false),
        ] {
            assert_eq!(is_same_model(asked, served), same, "{asked} {served}");
        }
    }
}
