//! Places where a test ends the process. Compiled only with the feature `testing`.

use std::fmt;
use std::sync::Arc;

type Reached = dyn Fn(&'static str) -> bool + Send + Sync;

/// Says at which places of the engine the process is to end. Given to an app with `provide(..)`.
///
/// The places, in the order in which a step passes them: `claimed` (nothing has been done), `looked` (what a stage waits
/// for has not come, and nobody knows yet that it waits), `ran` (the stage is done and nobody knows), `published` (so is
/// what it published), `kept` (the end of a branch is durable, and others are not over), `begun` (the workflow that a stage
/// starts is kept, and its first message has not left), `saved` (the step is durable, and the next message has not
/// left), `sent` (it has, and the delivery is not acknowledged).
#[derive(Clone)]
pub struct Checkpoints(Arc<Reached>);

impl Checkpoints {
    /// `reached` hears of every place that is reached. If it says true, the task stands still there for good: drop the
    /// app then, as if its process had been killed.
    #[must_use]
    pub fn new(reached: impl Fn(&'static str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(reached))
    }

    pub(super) async fn reach(&self, name: &'static str) {
        if (self.0)(name) {
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints").finish_non_exhaustive()
    }
}
