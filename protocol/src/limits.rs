//! What a provider says of its limits, as rollouts keep it (`rate_limits` of a `token_count` line).

use serde::{Deserialize, Serialize};

/// A snapshot of an account's limits. What a provider does not say is `null`, as in Codex's lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Names the limit.
    pub limit_id: Option<String>,
    /// Its name for a person.
    pub limit_name: Option<String>,
    /// The shorter window.
    pub primary: Option<RateWindow>,
    /// The longer window.
    pub secondary: Option<RateWindow>,
    /// Credits beyond the windows.
    pub credits: Option<Credits>,
    /// The account's plan.
    pub plan_type: Option<String>,
}

/// One window of a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateWindow {
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// Its length in minutes.
    pub window_minutes: Option<u64>,
    /// When it begins anew, in seconds since 1970.
    pub resets_at: Option<u64>,
}

/// Credits of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credits {
    /// There are some.
    pub has_credits: bool,
    /// They do not end.
    pub unlimited: bool,
    /// How many are left, as the provider writes it.
    pub balance: Option<String>,
}
