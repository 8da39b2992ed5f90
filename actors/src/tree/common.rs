//! What the trees of a process have in common.

use std::sync::Arc;

use super::rested::Rested;
use crate::agent::frame::Texts;

/// What the trees of a process share, so that a thousand of them have it once.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Their agents that sleep.
    pub rested: Rested,
    /// Parts of their requests.
    pub texts: Arc<Texts>,
}
