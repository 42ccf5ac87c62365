//! Errors that say which message was not published, where it was to go, and why.

use crate::transport::amqp::link::Link;
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

pub(super) const MAYBE: &str = "it may or may not have arrived, publish it again with the same id";

/// The error of a message that the transport was closed under. One that was sent may have arrived.
#[cold]
pub(super) fn closed(link: &Link, outgoing: &Outgoing, sent: bool) -> PublishError {
    if !sent {
        let text = "the transport was closed before it was sent";
        return failed(outgoing, PublishErrorKind::Closed, text);
    }
    let text = format!(
        "no confirm from RabbitMQ at {} before the transport was closed; {MAYBE}",
        link.place()
    );
    failed(outgoing, PublishErrorKind::Unknown, &text)
}

#[cold]
pub(super) fn unroutable(outgoing: &Outgoing, reply: &str) -> PublishError {
    let text = format!(
        "no queue takes it ({reply}): no binding matches its routing key, or the queue does not exist"
    );
    failed(outgoing, PublishErrorKind::Unroutable, &text)
}

#[cold]
pub(super) fn nacked(outgoing: &Outgoing) -> PublishError {
    let text = "the broker refused it again and again: a queue is full, or cannot store it";
    failed(outgoing, PublishErrorKind::Refused, text)
}

pub(super) fn no_exchange(outgoing: &Outgoing) -> PublishError {
    let text = "there is no such exchange; declare it before publishing";
    failed(outgoing, PublishErrorKind::NoExchange, text)
}

/// An error that names type and address; the id stands before it.
#[cold]
pub(super) fn failed(outgoing: &Outgoing, kind: PublishErrorKind, why: &str) -> PublishError {
    let message_type = outgoing.properties.message_type.as_deref().unwrap_or("-");
    let key = &outgoing.address.routing_key;
    let to = match &*outgoing.address.exchange {
        "" => format!("queue `{key}`"),
        exchange => format!("exchange `{exchange}` with key `{key}`"),
    };
    let text = format!("failed to publish `{message_type}` to {to}: {why}");
    PublishError::new(kind, outgoing.id(), text)
}
