//! The wire envelope: `id, type, timestamp, correlationId?, replyTo?, headers?, payload`.
//!
//! Written in this order, in camelCase, with empty parts left out. Read with more patience than it
//! is written: keys in any case, ids that are no UUIDs, timestamps with a fraction, an offset or no
//! zone, absent or null parts.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::{Timestamp, civil, tz::TimeZone};
use memchr::memchr2_iter;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

#[cfg(feature = "runtime")]
use self::wire::Core;
use self::wire::{Beside, Wire};
#[cfg(feature = "runtime")]
pub(crate) use self::write::write;
pub use self::write::{KindFields, encode, format_timestamp, kind_fields};
use super::Message;
use super::decode_error::{self, DecodeError, Reason};
use super::headers::Headers;
use super::sibling_retry;
use super::text::Text;

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

/// Reads a timestamp with or without fraction, offset and zone; without a zone it is UTC.
fn parse_timestamp(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: civil::DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// An envelope whose payload is still the bytes that came.
#[derive(Debug)]
pub struct Opened<'a> {
    /// Id, time, correlation and headers.
    pub meta: Meta,
    payload: &'a str,
}

/// Reads the envelope of a body and leaves the payload unparsed.
///
/// # Errors
/// If the body is not UTF-8, not JSON, nested too deep, not an envelope, or lacks what an envelope
/// must have. The error names the reason and never repeats the body.
pub fn open(body: &[u8]) -> Result<Opened<'_>, DecodeError> {
    let (wire, text) = read::<Wire<'_>>(body)?;
    match wire.into_opened() {
        Err(error) if matches!(error.reason(), Reason::MissingId | Reason::MissingType) => {
            open_retry(text).ok_or(error)
        }
        outcome => outcome,
    }
}

/// The type of a message and its payload, for whoever needs nothing else of the envelope.
#[cfg(feature = "runtime")]
pub(crate) struct Glance<'a> {
    pub(crate) message_type: Cow<'a, str>,
    /// The payload's JSON text; `{}` where the envelope had none.
    pub(crate) payload: &'a str,
}

/// Reads of an envelope what a reader of replies needs.
///
/// # Errors
/// If the body is no envelope, or has no type.
#[cfg(feature = "runtime")]
pub(crate) fn glance(body: &[u8]) -> Result<Glance<'_>, DecodeError> {
    let (Core { message_type, payload }, _) = read(body)?;
    let message_type = required(message_type, Reason::MissingType, "type")?;
    Ok(Glance { message_type, payload: payload_text(payload) })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a str), DecodeError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        DecodeError::new(
            Reason::NotUtf8,
            format!("the body stops being UTF-8 at byte {}", error.valid_up_to()),
        )
    })?;
    check_depth(body)?;
    let wire = serde_json::from_str::<T>(text).map_err(|error| {
        let reason = if error.is_data() { Reason::NotAnEnvelope } else { Reason::NotJson };
        DecodeError::from_json(reason, "the envelope", &error)
    })?;
    Ok((wire, text))
}

/// A sibling's delayed retry is no envelope, and has neither id nor type where an envelope has them.
#[cold]
fn open_retry(text: &str) -> Option<Opened<'_>> {
    let (meta, payload) = sibling_retry::read(text)?;
    let fits = |text: &str| text.len() <= ID_BYTES_MAX;
    (fits(&meta.id) && meta.correlation_id.as_deref().is_none_or(fits))
        .then_some(Opened { meta, payload })
}

/// Follows brackets only where there are enough of them, inside strings too, to nest too deep.
fn check_depth(body: &[u8]) -> Result<(), DecodeError> {
    let could_nest = memchr2_iter(b'[', b'{', body).nth(NESTING_DEPTH_MAX).is_some();
    if !could_nest || decode_error::depth(body) <= NESTING_DEPTH_MAX {
        return Ok(());
    }
    Err(DecodeError::new(
        Reason::TooDeep,
        format!("the body nests deeper than {NESTING_DEPTH_MAX} levels"),
    ))
}

/// What counts as the payload's text.
fn payload_text(payload: Option<&RawValue>) -> &str {
    payload.map_or("{}", |raw| if raw.get() == "null" { "{}" } else { raw.get() })
}

impl<'a> Wire<'a> {
    fn into_opened(self) -> Result<Opened<'a>, DecodeError> {
        let payload = payload_text(self.payload);
        let id = Text::from(required(self.id, Reason::MissingId, "id")?);
        let message_type = required(self.message_type, Reason::MissingType, "type")?.into();
        check_length(&id, Reason::IdTooLong, "id")?;
        if let Some(correlation_id) = &self.correlation_id {
            check_length(correlation_id, Reason::CorrelationIdTooLong, "correlationId")?;
        }
        let timestamp = match self.timestamp.as_deref() {
            None | Some("") => Timestamp::UNIX_EPOCH,
            Some(text) => parse_timestamp(text).ok_or_else(|| {
                DecodeError::new(
                    Reason::BadTimestamp,
                    "`timestamp` is not an RFC 3339 time".to_owned(),
                )
            })?,
        };
        let Beside { causation_id, headers } = self.beside.unwrap_or_default();
        let reply_to = self.reply_to.filter(|queue| !queue.is_empty()).map(Text::from);
        let correlation_id = self.correlation_id.filter(|id| !id.is_empty()).map(Text::from);
        let meta =
            Meta { id, message_type, timestamp, correlation_id, reply_to, causation_id, headers };
        Ok(Opened { meta, payload })
    }
}

fn required<'a>(
    value: Option<Cow<'a, str>>,
    reason: Reason,
    name: &str,
) -> Result<Cow<'a, str>, DecodeError> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| DecodeError::new(reason, format!("the envelope has no `{name}`")))
}

fn check_length(text: &str, reason: Reason, name: &str) -> Result<(), DecodeError> {
    if text.len() <= ID_BYTES_MAX {
        return Ok(());
    }
    let error = format!("`{name}` has {} bytes; at most {ID_BYTES_MAX} are accepted", text.len());
    Err(DecodeError::new(reason, error))
}

impl<'a> Opened<'a> {
    /// The payload's JSON text; `{}` where the envelope had none.
    #[must_use]
    pub const fn payload(&self) -> &'a str {
        self.payload
    }

    /// Parses the payload into the user's type, once.
    ///
    /// Whole numbers written as floats (`3.0`) are accepted for whole-number fields: siblings that
    /// keep all numbers as floats write them so.
    ///
    /// # Errors
    /// If the payload does not fit the type. The error names the place and never repeats a value.
    pub fn message<M: Message>(&self) -> Result<M, DecodeError> {
        message(self.payload)
    }

    /// The description and the payload's text, for whoever keeps the description longer.
    #[cfg(feature = "runtime")]
    pub(crate) fn into_parts(self) -> (Meta, &'a str) {
        (self.meta, self.payload)
    }

    /// Where the answer goes: `payload.replyTo`, as the Go sibling writes it, then the envelope's.
    /// An empty text counts as absent, and so does RabbitMQ's `amq.rabbitmq.reply-to`.
    #[must_use]
    pub fn reply_to(&self) -> Option<Text> {
        // Direct reply-to: in a body this is no address. The broker puts the one that leads back, which ends
        // in a token, into the property alone, and whoever answers the bare name answers nobody.
        let is_address = |queue: &Text| queue != "amq.rabbitmq.reply-to";
        let of_envelope = self.meta.reply_to.as_ref();
        if of_envelope.is_some_and(|address| ends_with_reply_to(self.payload, address)) {
            return of_envelope.cloned().filter(is_address);
        }
        let of_payload = self.payload_reply_to().filter(is_address);
        of_payload.or_else(|| of_envelope.cloned().filter(is_address))
    }

    fn payload_reply_to(&self) -> Option<Text> {
        static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("replyTo"));
        NAME.find(self.payload.as_bytes())?;
        #[derive(Deserialize)]
        struct ReplyTo {
            #[serde(rename = "replyTo")]
            reply_to: Option<Text>,
        }
        let found: ReplyTo = serde_json::from_str(self.payload).ok()?;
        found.reply_to.filter(|queue| !queue.is_empty())
    }
}

/// True if the last field of the payload is `replyTo` with this address, as Mmate writes it: then nothing is searched or
/// parsed to find out. The last brace is the payload's own, and a quote after a comma or a brace begins a name, since a
/// quote inside a text has a backslash before it.
fn ends_with_reply_to(payload: &str, address: &str) -> bool {
    let before = payload.strip_suffix("\"}").and_then(|rest| rest.strip_suffix(address));
    let before = before.and_then(|rest| rest.strip_suffix("\"replyTo\":\""));
    before.is_some_and(|rest| rest.ends_with([',', '{']))
}

/// Parses a payload's text, as [`Opened::message`] does.
pub(crate) fn message<M: Message>(payload: &str) -> Result<M, DecodeError> {
    decode_error::parse(payload, M::INFO.name)
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
    fn a_glance_asks_for_no_more_than_the_type() {
        let body = br#"{"type": "Priced", "timestamp": "soon", "payload": {"cents": 3}}"#;
        let glance = glance(body).unwrap();
        assert_eq!((&*glance.message_type, glance.payload), ("Priced", r#"{"cents": 3}"#));
        assert_eq!(open(body).unwrap_err().reason(), Reason::MissingId);
        let nameless = super::glance(br#"{"id": "1", "payload": {}}"#);
        assert_eq!(nameless.err().map(|error| error.reason()), Some(Reason::MissingType));
        let too_deep = [b"{\"type\": ".as_slice(), &b"[".repeat(NESTING_DEPTH_MAX)].concat();
        let too_deep = super::glance(&too_deep);
        assert_eq!(too_deep.err().map(|error| error.reason()), Some(Reason::TooDeep));
    }

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
