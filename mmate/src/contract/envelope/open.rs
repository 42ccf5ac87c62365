//! Reading: a body's envelope, with its payload left as it came.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::Payload;
#[cfg(feature = "runtime")]
use super::split::{Head, split};
use super::wire::{Beside, Wire};
use super::{ID_BYTES_MAX, Meta, NESTING_DEPTH_MAX, timestamp};
use crate::contract::Message;
use crate::contract::decode_error::{self, DecodeError, Reason};
use crate::contract::sibling_retry;
use crate::contract::text::Text;

/// An envelope whose payload is still the bytes that came.
#[derive(Debug)]
pub struct Opened<'a> {
    /// Id, time, correlation and headers.
    pub meta: Meta,
    payload: Payload<'a>,
}

/// Reads the envelope of a body and leaves the payload unparsed.
///
/// # Errors
/// If the body is not UTF-8, not JSON, nested too deep, not an envelope, or lacks what an envelope
/// must have. The error names the reason and never repeats the body.
pub fn open(body: &[u8]) -> Result<Opened<'_>, DecodeError> {
    let (wire, text) = read::<Wire<'_>>(body)?;
    let payload = Payload { text: payload_text(wire.payload), unread: None };
    match wire.into_meta() {
        Ok(meta) => Ok(Opened { meta, payload }),
        Err(error) if matches!(error.reason(), Reason::MissingId | Reason::MissingType) => {
            open_retry(text).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// As [`open`], for whoever reads the payload afterwards: that a body is no JSON is found out then, if it is only the payload
/// that is none. Spares the pass over the payload that is needed to find its end, see [`split`].
///
/// # Errors
/// As [`open`]; some of them only when the payload is read.
#[cfg(feature = "runtime")]
pub(crate) fn peek(body: &[u8]) -> Result<Opened<'_>, DecodeError> {
    let mut head = Head::new();
    if let Some((wire, text)) = apart::<Wire<'_>>(body, &mut head)
        && wire.payload.is_none()
        && let Ok(meta) = wire.into_meta()
    {
        return Ok(Opened { meta, payload: Payload { text, unread: Some(body) } });
    }
    // Where anything is unusual or wrong, the whole is read.
    open(body)
}

/// What stands before the payload of a body, copied into `head` and read, and the payload.
#[cfg(feature = "runtime")]
pub(super) fn apart<'a, 'h, T: Deserialize<'h>>(
    body: &'a [u8],
    head: &'h mut Head,
) -> Option<(T, &'a str)> {
    let payload = split(text_of(body).ok()?, head)?;
    check_depth(body).ok()?;
    Some((serde_json::from_str(head).ok()?, payload))
}

fn text_of(body: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(body).map_err(|error| {
        DecodeError::new(
            Reason::NotUtf8,
            format!("the body stops being UTF-8 at byte {}", error.valid_up_to()),
        )
    })
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a str), DecodeError> {
    let text = text_of(body)?;
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
        .then_some(Opened { meta, payload: Payload { text: payload, unread: None } })
}

/// Follows brackets only where there are enough of them, inside strings too, to nest too deep.
fn check_depth(body: &[u8]) -> Result<(), DecodeError> {
    if brackets(body) <= NESTING_DEPTH_MAX || decode_error::depth(body) <= NESTING_DEPTH_MAX {
        return Ok(());
    }
    Err(DecodeError::new(
        Reason::TooDeep,
        format!("the body nests deeper than {NESTING_DEPTH_MAX} levels"),
    ))
}

/// How many brackets open in a body, those inside strings included. There are dozens in a small one: counting without a
/// stop at each of them takes a third of the time.
fn brackets(body: &[u8]) -> usize {
    // They differ in the bit that makes small letters of large ones.
    let opens = |byte: &u8| u8::from(*byte | 0x20 == b'{');
    // So few at a time that a byte holds their count, and a processor counts sixteen in one step.
    body.chunks(240).map(|some| usize::from(some.iter().map(opens).sum::<u8>())).sum()
}

/// What counts as the payload's text.
pub(super) fn payload_text(payload: Option<&RawValue>) -> &str {
    payload.map_or("{}", |raw| if raw.get() == "null" { "{}" } else { raw.get() })
}

impl Wire<'_> {
    fn into_meta(self) -> Result<Meta, DecodeError> {
        let id = Text::from(required(self.id, Reason::MissingId, "id")?);
        let message_type = required(self.message_type, Reason::MissingType, "type")?.into();
        check_length(&id, Reason::IdTooLong, "id")?;
        if let Some(correlation_id) = &self.correlation_id {
            check_length(correlation_id, Reason::CorrelationIdTooLong, "correlationId")?;
        }
        let timestamp = match self.timestamp.as_deref() {
            None | Some("") => Timestamp::UNIX_EPOCH,
            Some(text) => timestamp::parse(text).ok_or_else(|| {
                DecodeError::new(
                    Reason::BadTimestamp,
                    "`timestamp` is not an RFC 3339 time".to_owned(),
                )
            })?,
        };
        let Beside { causation_id, headers } = self.beside.unwrap_or_default();
        let reply_to = self.reply_to.filter(|queue| !queue.is_empty()).map(Text::from);
        let correlation_id = self.correlation_id.filter(|id| !id.is_empty()).map(Text::from);
        Ok(Meta { id, message_type, timestamp, correlation_id, reply_to, causation_id, headers })
    }
}

pub(super) fn required<'a>(
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
        self.payload.text
    }

    /// Parses the payload into the user's type, once.
    ///
    /// Whole numbers written as floats (`3.0`) are accepted for whole-number fields: siblings that
    /// keep all numbers as floats write them so.
    ///
    /// # Errors
    /// If the payload does not fit the type. The error names the place and never repeats a value.
    pub fn message<M: Message>(&self) -> Result<M, DecodeError> {
        self.payload.message()
    }

    /// The description and the payload, for whoever keeps the description longer.
    #[cfg(feature = "runtime")]
    pub(crate) fn into_parts(self) -> (Meta, Payload<'a>) {
        (self.meta, self.payload)
    }

    /// Makes sure that the whole body is JSON, for whoever takes the payload's text as it is.
    ///
    /// # Errors
    /// Those of [`open`].
    #[cfg(feature = "runtime")]
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        self.payload.check()
    }

    /// Where the answer goes: `payload.replyTo`, as the Go sibling writes it, then the envelope's.
    /// An empty text counts as absent, and so does RabbitMQ's `amq.rabbitmq.reply-to`.
    #[must_use]
    pub fn reply_to(&self) -> Option<Text> {
        // Direct reply-to: in a body this is no address. The broker puts the one that leads back, which ends
        // in a token, into the property alone, and whoever answers the bare name answers nobody.
        let is_address = |queue: &Text| queue != "amq.rabbitmq.reply-to";
        let of_envelope = self.meta.reply_to.as_ref();
        if of_envelope.is_some_and(|address| ends_with_reply_to(self.payload(), address)) {
            return of_envelope.cloned().filter(is_address);
        }
        let of_payload = self.payload_reply_to().filter(is_address);
        of_payload.or_else(|| of_envelope.cloned().filter(is_address))
    }

    fn payload_reply_to(&self) -> Option<Text> {
        static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("replyTo"));
        NAME.find(self.payload().as_bytes())?;
        #[derive(Deserialize)]
        struct ReplyTo {
            #[serde(rename = "replyTo")]
            reply_to: Option<Text>,
        }
        let found: ReplyTo = serde_json::from_str(self.payload()).ok()?;
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

#[cfg(all(test, feature = "runtime"))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    /// A JSON value's text, of small parts that look like what separates a payload from the rest.
    fn value() -> impl Strategy<Value = String> {
        let leaf = select(vec![
            "1",
            "null",
            "true",
            "\"\"",
            "\"a}\"",
            "\"},\"",
            "\"{\"",
            "\",\"",
            "\"\\\"\"",
            "\",\\\"payload\\\":{\"",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
            let name = select(vec!["a", "b", "payload", "replyTo"]);
            let fields = vec((name, inner.clone()), 0..3);
            let object = fields.prop_map(|fields| object(&fields, ","));
            let list = vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(",")));
            prop_oneof![object, list]
        })
    }

    fn object<N: AsRef<str>>(fields: &[(N, String)], comma: &str) -> String {
        let fields = fields.iter().map(|(name, value)| format!("\"{}\":{value}", name.as_ref()));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(comma))
    }

    /// An envelope's text: mostly with what it must have, in the family's order, and with a payload at the end.
    fn envelope() -> impl Strategy<Value = String> {
        let others =
            || (select(vec!["replyTo", "headers", "payload", "Payload", "other"]), value());
        let after = prop_oneof![4 => Just(vec![]), 1 => vec(others(), 1..2)];
        let comma = select(vec![",", ",", ",", " , "]);
        (vec(others(), 0..2), value(), after, comma).prop_map(|(before, payload, after, comma)| {
            let mut fields = vec![("id", "\"1\"".to_owned()), ("type", "\"T\"".to_owned())];
            fields.extend(before);
            fields.push(("payload", payload));
            fields.extend(after);
            object(&fields, comma)
        })
    }

    /// What somebody reads who peeks, and then reads the payload.
    fn peeked(body: &[u8]) -> Result<(Meta, String), DecodeError> {
        let (meta, payload) = peek(body)?.into_parts();
        Ok((meta, payload.checked()?.to_owned()))
    }

    fn opened(body: &[u8]) -> Result<(Meta, String), DecodeError> {
        open(body).map(|opened| (opened.meta.clone(), opened.payload().to_owned()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn who_peeks_reads_what_who_opens_reads(body in envelope()) {
            prop_assert_eq!(peeked(body.as_bytes()), opened(body.as_bytes()));
        }

        #[test]
        fn who_peeks_finds_the_same_mistakes(
            body in envelope(),
            at in any::<Index>(),
            instead in select(vec!["", "{", "}", "\"", ",", ":", "[", "]", "\\", " ", "}}"]),
        ) {
            let at = at.index(body.len() + 1);
            let cut = (at + 1).min(body.len());
            let broken = format!("{}{instead}{}", &body[..at], &body[cut..]);
            prop_assert_eq!(peeked(broken.as_bytes()), opened(broken.as_bytes()));
        }
    }

    #[test]
    fn only_what_ends_with_its_payload_is_read_once() {
        let unread = |body: &str| peek(body.as_bytes()).unwrap().payload.unread.is_some();
        assert!(unread(r#"{"id":"1","type":"T","headers":{"a":1},"payload":{"a":[{"b":1}]}}"#));
        assert!(!unread(r#"{"id":"1","type":"T","payload":{"a":1},"replyTo":"q"}"#));
        assert!(!unread(r#"{"id":"1","type":"T","Payload":{"a":1},"payload":{"a":2}}"#));
    }
}
