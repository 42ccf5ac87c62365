//! Replies: of their envelopes nothing but the type is asked for.

use std::borrow::Cow;

use super::open::{apart, payload_text, read, required};
use super::split::Head;
use super::wire::Core;
use crate::contract::decode_error::{DecodeError, Reason};
use crate::contract::{Message, refusal};

/// The type of a message and its payload, for whoever needs nothing else of the envelope.
pub(crate) struct Glance<'a> {
    pub(crate) message_type: Cow<'a, str>,
    /// The payload's JSON text; `{}` where the envelope had none.
    pub(crate) payload: &'a str,
}

/// Reads of an envelope what a reader of replies needs.
///
/// # Errors
/// If the body is no envelope, or has no type.
pub(crate) fn glance(body: &[u8]) -> Result<Glance<'_>, DecodeError> {
    let (Core { message_type, payload }, _) = read(body)?;
    let message_type = required(message_type, Reason::MissingType, "type")?;
    Ok(Glance { message_type, payload: payload_text(payload) })
}

/// Reads an answer of type `M` out of a body without a pass over it to find its end. Nothing where that cannot be done, and
/// where it is anything but a plain answer of this type.
pub(crate) fn expect<M: Message>(body: &[u8]) -> Option<M> {
    let mut head = Head::new();
    let (core, payload) = apart::<Core<'_>>(body, &mut head)?;
    let message_type = core.message_type.filter(|_| core.payload.is_none())?;
    let is_wanted = M::INFO.names().any(|name| name == message_type);
    if !is_wanted || refusal::may_refuse(payload) {
        return None;
    }
    serde_json::from_str(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{NESTING_DEPTH_MAX, open};
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
}
