//! Token usage, as the Responses API counts it and the rollout keeps it.

use serde::{Deserialize, Serialize};

/// Tokens of one response, one turn or one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Everything the model read, the cached part included.
    pub input_tokens: u64,
    /// The part of the input that came from the provider's cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// The part of the input that was written to the provider's cache.
    #[serde(default)]
    pub cache_write_input_tokens: u64,
    /// Everything the model wrote, its reasoning included.
    pub output_tokens: u64,
    /// The part of the output that is reasoning.
    #[serde(default)]
    pub reasoning_output_tokens: u64,
    /// Input and output together.
    pub total_tokens: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.cached_input_tokens = self.cached_input_tokens.saturating_add(more.cached_input_tokens);
        self.cache_write_input_tokens = self.cache_write_input_tokens.saturating_add(more.cache_write_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.reasoning_output_tokens = self.reasoning_output_tokens.saturating_add(more.reasoning_output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(more.total_tokens);
    }
}
