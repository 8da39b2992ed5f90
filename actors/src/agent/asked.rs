//! Whom an agent asks: what the run says, what the thread has, and what its turn keeps.

use std::sync::Arc;

use sapwood_protocol::own::ThreadSettings;

use super::manner::Works;
use super::settings::Settings;
use super::state::Asking;

/// Whom an agent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The provider's id.
    pub provider: &'a Arc<str>,
    /// The model.
    pub model: &'a Arc<str>,
    /// The reasoning effort.
    pub effort: Option<&'a Arc<str>>,
}

impl<'a> Asked<'a> {
    fn of_run(run: &'a Settings) -> Self {
        Asked { provider: &run.provider, model: &run.model, effort: run.effort.as_ref() }
    }

    /// What this run said, else what the agent has, else what the run has.
    pub(super) fn by(own: &'a Asking, run: &'a Settings) -> Self {
        let said = Asked::of_run(run);
        if run.model_is_said {
            return said;
        }
        let provider = own.provider.as_ref().unwrap_or(said.provider);
        match &own.model {
            Some(model) => Asked { provider, model, effort: own.effort.as_ref() },
            None => Asked { provider, ..said },
        }
    }

    /// True if the rollout says the same.
    pub(super) fn is(&self, own: &Asking) -> bool {
        own.provider.as_ref() == Some(self.provider)
            && own.model.as_ref() == Some(self.model)
            && own.effort.as_ref() == self.effort
    }

    /// What a child is told, so that it asks and works the same; nothing where the run says so anyway.
    pub(super) fn for_a_child(self, works: Works<'_>, run: &Settings) -> Option<Box<ThreadSettings>> {
        let manner = works.for_a_child();
        let asks = self != Asked::of_run(run);
        (asks || !manner.is_empty()).then(|| {
            let said = |value: &Arc<str>| asks.then(|| Arc::clone(value));
            let effort = asks.then(|| self.effort.cloned());
            Box::new(ThreadSettings { provider: said(self.provider), model: said(self.model), effort, manner })
        })
    }
}
