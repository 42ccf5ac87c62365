//! A failed attempt: what is said and written down of it.

use std::time::Duration;

use serde_json::json;

use super::dead_letter::error_text;
use super::settle::Decision;
use crate::contract::refusal::codes;
use crate::contract::{DecodeError, Refusal};
use crate::dispatch::{BreakerOpen, Panicked, TimedOut};
use crate::handler::HandlerError;
use crate::observability::{Account, Fate, Note};
use crate::reliability::ErrorClass;
use crate::transport::{Delivery, PublishError, Settlement};

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) queue: &'a str,
    pub(super) delivery: &'a Delivery,
    pub(super) handler: &'a str,
    pub(super) attempt: u32,
    pub(super) error: HandlerError,
    pub(super) account: &'a Account,
}

/// The message's id for logs and the ledger; `-` where it has none.
pub(super) fn id_of(delivery: &Delivery) -> &str {
    delivery.properties.message_id.as_deref().unwrap_or("-")
}

impl Failure<'_> {
    pub(super) fn message_id(&self) -> &str {
        id_of(self.delivery)
    }

    pub(super) fn record(&self, fate: Fate, reason: Option<&'static str>) {
        self.account.record(fate, Note { id: self.message_id(), attempt: self.attempt, reason });
    }

    /// Acknowledged: recorded first, for the same reason as a success is.
    pub(super) fn settled(&self, fate: Fate) -> Decision {
        self.record(fate, None);
        Decision::Settle(Settlement::Ack)
    }

    /// What whoever asked is told of a message that is parked. The error itself stays here: it is in the
    /// dead letter, and may say more than a caller should know.
    pub(super) fn refusal(&self, reason: &str) -> Refusal {
        let Self { queue, handler, attempt, .. } = self;
        if let Some(undecodable) = self.error.as_error().downcast_ref::<DecodeError>() {
            let refusal = Refusal::new(codes::INVALID_REQUEST, undecodable.to_string());
            return refusal.details(json!({ "reason": reason }));
        }
        let text = format!(
            "`{handler}` of queue `{queue}` failed for good at attempt {attempt} ({reason}); the request is in its dead-letter queue"
        );
        let details = json!({ "reason": reason, "attempts": attempt });
        Refusal::new(codes::REQUEST_FAILED, text).details(details)
    }

    pub(super) fn log(&self, what: &str) {
        let (queue, handler, message_id) = (self.queue, self.handler, self.message_id());
        tracing::warn!(queue, handler, message_id, attempt = self.attempt, error = %error_text(&self.error), "{what}");
    }

    pub(super) fn log_retry(&self, class: ErrorClass, wait: Duration) {
        let (queue, handler, message_id) = (self.queue, self.handler, self.message_id());
        let (class, error) = (class.as_str(), error_text(&self.error));
        tracing::warn!(queue, handler, message_id, attempt = self.attempt, class, ?wait, %error, "failed, will be retried");
    }
}

/// The word for the dead letter of an error that used up its attempts.
pub(super) fn reason_of(error: &HandlerError, class: ErrorClass) -> &'static str {
    let error = error.as_error();
    if error.is::<Panicked>() {
        "panic"
    } else if error.is::<TimedOut>() {
        "timeout"
    } else if error.is::<PublishError>() {
        "publish_failed"
    } else if error.is::<BreakerOpen>() {
        "breaker_open"
    } else {
        match class {
            ErrorClass::Invalid | ErrorClass::Permanent => class.as_str(),
            _ => "retries_exhausted",
        }
    }
}
