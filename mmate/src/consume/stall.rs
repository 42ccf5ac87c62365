//! Notices a consumer that the broker has confirmed and forgotten.
//!
//! A broker, or a proxy before it, can lose a consumer without a word: the connection lives, heartbeats
//! pass, and no message comes. From inside that looks like an empty queue; so the queue is asked.

use std::time::Duration;

use super::activity::Activity;
use crate::transport::{Transport, TransportError, TransportErrorKind};

/// How often the consumer is looked at in the time after which it counts as forgotten.
const LOOKS: u32 = 4;

/// Resolves with the reason once the queue holds messages that this consumer wants and does not get.
///
/// Quiet is healthy: the broker is asked only when nothing came for `after`, and must be seen twice with
/// messages ready, since one that came this moment is on its way.
pub(crate) async fn stalled(
    transport: &dyn Transport,
    queue: &str,
    activity: &Activity,
    after: Duration,
) -> TransportError {
    let mut suspected = false;
    loop {
        tokio::time::sleep(after / LOOKS).await;
        if activity.starved().is_none_or(|starved| starved < after) {
            suspected = false;
            continue;
        }
        match transport.queue_stats(queue).await {
            Ok(Some(stats)) if stats.ready > 0 => {
                // It may have come while the broker was asked.
                let Some(starved) = activity.starved().filter(|starved| *starved >= after) else {
                    continue;
                };
                if suspected {
                    return forgotten(queue, stats.ready, starved);
                }
                suspected = true;
            }
            Ok(Some(_)) => suspected = false,
            Ok(None) => return gone(queue),
            // An outage shows elsewhere, with its reason.
            Err(error) => tracing::debug!(queue, %error, "could not ask about a quiet queue"),
        }
    }
}

fn forgotten(queue: &str, ready: u64, starved: Duration) -> TransportError {
    let text = format!(
        "the broker has confirmed the consumer of queue `{queue}` and gave it nothing for {} s although {ready} messages wait there",
        starved.as_secs()
    );
    TransportError::new(TransportErrorKind::Lost, text)
}

fn gone(queue: &str) -> TransportError {
    let text = format!("queue `{queue}` does not exist any more, and its consumer was not told");
    TransportError::new(TransportErrorKind::Lost, text)
}
