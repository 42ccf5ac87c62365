//! The Go sibling's delayed retry: a message in a wrapper of its own, which is no envelope.
//!
//! Its scheduler puts `messageId`, `messageType`, `correlationId`, `originalPayload` and others at the
//! top of the body, where `originalPayload` is the whole message. Read only after a body turned out to
//! be no envelope, so that ordinary messages pay nothing for it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::Meta;
use super::headers::Headers;
use super::text::Text;

/// The wrapper, as far as it matters. What else it says is about a schedule that is over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapper<'a> {
    message_id: Text,
    message_type: Text,
    correlation_id: Option<Text>,
    scheduled_at: Option<Timestamp>,
    #[serde(borrow)]
    original_payload: &'a RawValue,
}

/// The message inside of a wrapper; nothing if the body is none.
pub(super) fn read(text: &str) -> Option<(Meta, &str)> {
    let wrapper: Wrapper<'_> = serde_json::from_str(text).ok()?;
    let is_empty = wrapper.message_id.is_empty() || wrapper.message_type.is_empty();
    let meta = Meta {
        id: wrapper.message_id,
        message_type: wrapper.message_type,
        timestamp: wrapper.scheduled_at.unwrap_or(Timestamp::UNIX_EPOCH),
        correlation_id: wrapper.correlation_id.filter(|id| !id.is_empty()),
        reply_to: None,
        causation_id: None,
        headers: Headers::new(),
    };
    (!is_empty).then(|| (meta, wrapper.original_payload.get()))
}
