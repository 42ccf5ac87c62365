//! What an operator must hear of, and the hook that says it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::Notify;

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alert {
    /// A dead-letter queue has reached its threshold (`dead_letters.alert_at`). Said once, and again
    /// only after it was below in between. Every instance of a service says it.
    DeadLetters {
        /// The queue that the messages failed in; several with commas between them.
        queue: String,
        /// Where they are.
        dead_letter_queue: String,
        /// How many wait there.
        count: u64,
        /// The threshold.
        threshold: u64,
    },
    /// A stage of a workflow cannot be undone, and the instance waits for somebody to look at it.
    WorkflowStuck {
        /// The workflow's id.
        workflow: String,
        /// The instance.
        instance: String,
        /// The stage.
        stage: String,
        /// Why it cannot be undone.
        error: String,
    },
    /// A failed message cannot be moved to its dead-letter queue. It is not lost: it stays
    /// unacknowledged and is tried again. Said at the first failure of each message.
    ParkingFails {
        /// The queue that the message is in.
        queue: String,
        /// Where it should go.
        dead_letter_queue: String,
        /// The message's id; `-` where it has none.
        message_id: String,
        /// Why it cannot go there.
        error: String,
    },
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeadLetters { queue, dead_letter_queue, count, threshold } => write!(
                f,
                "{count} dead letters of queue `{queue}` wait in `{dead_letter_queue}` (the threshold is {threshold}); \
                 look at them with `dlq list {queue}`"
            ),
            Self::WorkflowStuck { workflow, instance, stage, error } => write!(
                f,
                "instance `{instance}` of workflow `{workflow}` is stuck: stage `{stage}` cannot be undone: {error}; mend \
                 the cause, then `workflows resume {instance}`, or undo it by hand and `workflows skip {instance}`"
            ),
            Self::ParkingFails { queue, dead_letter_queue, message_id, error } => write!(
                f,
                "message `{message_id}` of queue `{queue}` cannot be moved to `{dead_letter_queue}` and stays \
                 unacknowledged: {error}"
            ),
        }
    }
}

type Hook = dyn Fn(&Alert) + Send + Sync;

/// Where alerts go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Alerts {
    hook: Option<Arc<Hook>>,
    parked: Arc<Notify>,
}

impl Alerts {
    /// Alerts that a hook hears. It is called where the alert arises, so it must not block.
    #[must_use]
    pub fn new(hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)), parked: Arc::default() }
    }

    /// Says an alert: to the hook, or without one to the log. A panic of the hook ends here.
    pub(crate) fn raise(&self, alert: &Alert) {
        let Some(hook) = &self.hook else {
            tracing::error!("{alert}");
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| hook(alert))).is_err() {
            tracing::error!("the alert hook panicked; it was told: {alert}");
        }
    }

    /// A message was parked: the depth of a dead-letter queue has changed.
    pub(super) fn parked(&self) {
        self.parked.notify_one();
    }

    /// Waits until something was parked, also before the call.
    pub(crate) async fn next_parked(&self) {
        self.parked.notified().await;
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("hook", &self.hook.is_some()).finish_non_exhaustive()
    }
}
