//! The copy of a message that goes to the dead-letter queue.

use jiff::Timestamp;

use crate::contract::address::Address;
use crate::contract::envelope::format_timestamp;
use crate::contract::headers::names;
use crate::handler::HandlerError;
use crate::transport::{Delivery, Outgoing};

/// The longest error text in a header, in bytes: a header travels with every copy.
pub(super) const ERROR_BYTES_MAX: usize = 1_024;

/// Why a message is dead-lettered.
#[derive(Debug)]
pub(super) struct Death<'a> {
    /// A short word for programs.
    pub(super) reason: &'a str,
    /// What a person reads.
    pub(super) error: String,
    /// How many attempts were made.
    pub(super) attempts: u32,
    /// The queue that the message was taken from.
    pub(super) queue: &'a str,
    /// Service and handler that gave up.
    pub(super) handler: &'a str,
    /// When.
    pub(super) time: Timestamp,
}

impl Death<'_> {
    /// The copy: body, id, correlation, content type and priority as they came, own headers added to
    /// a copy of the headers. The expiration is left out, or the copy would expire in turn.
    pub(super) fn copy(&self, delivery: &Delivery, dead_letter_queue: &str) -> Outgoing {
        let mut properties = delivery.properties.clone();
        properties.expiration_ms = None;
        let headers = &mut properties.headers;
        headers.set(names::DEATH_REASON, self.reason);
        headers.set(names::DEATH_ERROR, shorten(&self.error));
        headers.set(names::DEATH_QUEUE, self.queue);
        headers.set(names::DEATH_TIME, format_timestamp(self.time));
        headers.set(names::DEATH_ATTEMPTS, self.attempts);
        headers.set(names::DEATH_HANDLER, self.handler);
        // The attempts are over; if somebody sends it back, they are counted anew.
        headers.remove(names::ATTEMPT);
        headers.remove(names::NOT_BEFORE);
        headers.remove_broker_deaths();
        if headers.get(names::ORIGINAL_ROUTING_KEY).is_none() {
            headers.set(names::ORIGINAL_EXCHANGE, delivery.exchange.as_str());
            headers.set(names::ORIGINAL_ROUTING_KEY, delivery.routing_key.as_str());
        }
        Outgoing::new(Address::queue(dead_letter_queue), properties, delivery.body.clone())
    }
}

/// The error with its sources, on one line, cut at a character boundary.
pub(super) fn error_text(error: &HandlerError) -> String {
    shorten(&error.chain())
}

/// Both errors of a message whose fallback failed, too; a long one does not push out the other.
pub(super) fn both_error_texts(
    original: &HandlerError,
    fallback: &str,
    error: &HandlerError,
) -> String {
    let half = |error: &HandlerError| shorten_to(&error.chain(), ERROR_BYTES_MAX / 3);
    format!("{}; then its fallback `{fallback}` failed: {}", half(original), half(error))
}

fn shorten(text: &str) -> String {
    shorten_to(text, ERROR_BYTES_MAX)
}

fn shorten_to(text: &str, bytes_max: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > bytes_max {
        let cut = (0..=bytes_max - 3).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let text = shorten(&"ä\n".repeat(2_000));
        assert!(text.len() <= ERROR_BYTES_MAX && text.ends_with('…') && !text.contains('\n'));
    }
}
