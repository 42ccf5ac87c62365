//! The wire envelope: `id, type, timestamp, correlationId?, replyTo?, headers?, payload`.
//!
//! Written in this order, in camelCase, with empty parts left out. Read with more patience than it
//! is written: keys in any case, ids that are no UUIDs, timestamps with a fraction, an offset or no
//! zone, absent or null parts.

use jiff::Timestamp;

#[cfg(feature = "runtime")]
pub(crate) use self::glance::{Glance, expect, glance};
#[cfg(feature = "runtime")]
pub(crate) use self::open::peek;
pub use self::open::{Opened, open};
#[cfg(feature = "runtime")]
pub(crate) use self::payload::{Payload, message};
pub use self::timestamp::format_timestamp;
#[cfg(feature = "runtime")]
pub(crate) use self::write::write;
pub use self::write::{KindFields, encode, kind_fields};
use super::Message;
use super::decode_error::{DecodeError, Reason};
use super::headers::Headers;
use super::text::Text;

#[cfg(feature = "runtime")]
mod glance;
mod open;
mod payload;
#[cfg(feature = "runtime")]
mod split;
mod timestamp;
mod wire;
mod write;

/// The longest id, correlation id or causation id that is accepted, in bytes: what an AMQP short
/// string holds.
pub const ID_BYTES_MAX: usize = 255;

/// How deep a body may nest; serde_json stops at the same depth.
pub const NESTING_DEPTH_MAX: usize = 128;

/// What an envelope says about its payload.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// The message's id.
    pub id: Text,
    /// The type's name on the wire.
    pub message_type: Text,
    /// When the message was made.
    pub timestamp: Timestamp,
    /// What the message belongs to: the same for all messages of one flow.
    pub correlation_id: Option<Text>,
    /// Where an answer is to be sent.
    pub reply_to: Option<Text>,
    /// The id of the message that caused this one. It travels among the headers, and stands here alone.
    pub causation_id: Option<Text>,
    /// Free headers.
    pub headers: Headers,
}

impl Meta {
    /// The description of a message that begins a flow: its correlation id is its own.
    #[must_use]
    pub fn new(id: impl Into<Text>, message_type: impl Into<Text>, timestamp: Timestamp) -> Self {
        let (id, message_type) = (id.into(), message_type.into());
        let correlation_id = Some(id.clone());
        Self {
            id,
            message_type,
            timestamp,
            correlation_id,
            reply_to: None,
            causation_id: None,
            headers: Headers::new(),
        }
    }
}

/// A message with all that came with it. A handler may take it in place of the bare message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Envelope<M> {
    /// Id, time, correlation and headers.
    pub meta: Meta,
    /// The message itself.
    pub message: M,
}

impl<M> Envelope<M> {
    /// Puts a message into an envelope.
    #[must_use]
    pub const fn new(meta: Meta, message: M) -> Self {
        Self { meta, message }
    }
}

/// Reads a body whole: the envelope and the typed payload.
///
/// # Errors
/// Those of [`open`] and [`Opened::message`], and if the envelope's type is not `M`'s.
pub fn decode<M: Message>(body: &[u8]) -> Result<Envelope<M>, DecodeError> {
    let opened = open(body)?;
    if !M::INFO.names().any(|name| name == opened.meta.message_type) {
        let error =
            format!("the body is a `{}`, not a `{}`", opened.meta.message_type, M::INFO.name);
        return Err(DecodeError::new(Reason::UnknownType, error));
    }
    let message = opened.message()?;
    Ok(Envelope::new(opened.meta, message))
}

#[cfg(all(test, feature = "runtime"))]
mod tests {
    use super::*;

    #[test]
    fn the_causation_id_travels_among_the_headers_and_stands_alone() {
        let mut meta = Meta::new("1", "Priced", Timestamp::UNIX_EPOCH);
        meta.causation_id = Some("0".into());
        meta.headers.set("tenant", "acme");
        let body = encode(&meta, &serde_json::json!({}), &KindFields::default()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["headers"], serde_json::json!({"tenant": "acme", "causationId": "0"}));
        assert_eq!(open(&body).unwrap().meta, meta);
    }

    #[test]
    fn a_header_that_was_written_twice_is_the_first() {
        let body = br#"{"id": "1", "type": "T", "headers": {"a": 1, "A": 2}, "payload": {}}"#;
        let meta = open(body).unwrap().meta;
        assert_eq!(meta.headers.get("a").and_then(crate::contract::HeaderValue::as_i64), Some(1));
    }
}
