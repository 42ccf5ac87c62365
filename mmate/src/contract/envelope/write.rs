//! Writing: an envelope around a payload, and the kind fields inside of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Meta, timestamp};
use crate::contract::headers::names;
use crate::contract::{Kind, Message};

/// The family's own fields that travel inside the payload, beside the user's.
///
/// The Go sibling reads them there and nowhere else. A user field of the same name wins.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KindFields<'a> {
    /// The service that a command is meant for.
    pub target_service: Option<&'a str>,
    /// Where a request wants its answer.
    pub reply_to: Option<&'a str>,
    /// The id of the thing that an event is about.
    pub aggregate_id: Option<&'a str>,
    /// Whether a reply answers or refuses.
    pub success: Option<bool>,
    /// The code of a refusal.
    pub error_code: Option<&'a str>,
    /// The text of a refusal; also written as `error`.
    pub error_message: Option<&'a str>,
    /// What else a refusal says.
    pub error_details: Option<&'a serde_json::Value>,
}

/// Serializes an envelope around `payload`.
///
/// # Errors
/// If the payload cannot be written as JSON, for example a map with keys that are no text.
pub fn encode<P: Serialize + ?Sized>(
    meta: &Meta,
    payload: &P,
    fields: &KindFields<'_>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = Vec::with_capacity(512);
    write(&mut body, meta, payload, fields)?;
    Ok(body)
}

/// Appends an envelope to `body`, as [`encode`] makes it. After an error a part of it may stand there.
pub(crate) fn write<P: Serialize + ?Sized>(
    body: &mut Vec<u8>,
    meta: &Meta,
    payload: &P,
    fields: &KindFields<'_>,
) -> Result<(), serde_json::Error> {
    begin(body, meta)?;
    let start = body.len();
    serde_json::to_writer(&mut *body, payload)?;
    add_kind_fields(body, start, fields)?;
    body.push(b'}');
    Ok(())
}

/// Writes everything up to the payload. Not generic: one copy serves all messages.
fn begin(body: &mut Vec<u8>, meta: &Meta) -> Result<(), serde_json::Error> {
    body.push(b'{');
    field(body, "id", meta.id.as_str())?;
    field(body, "type", meta.message_type.as_str())?;
    body.extend_from_slice(b",\"timestamp\":\"");
    timestamp::write(meta.timestamp, body).map_err(serde::ser::Error::custom)?;
    body.push(b'"');
    if let Some(correlation_id) = meta.correlation_id.as_deref().filter(|id| !id.is_empty()) {
        field(body, "correlationId", correlation_id)?;
    }
    if let Some(reply_to) = meta.reply_to.as_deref().filter(|queue| !queue.is_empty()) {
        field(body, "replyTo", reply_to)?;
    }
    if meta.causation_id.is_some() || !meta.headers.is_empty() {
        field(body, "headers", &AllHeaders(meta))?;
    }
    body.extend_from_slice(b",\"payload\":");
    Ok(())
}

/// The free headers, and the causation id, which siblings look for among them.
struct AllHeaders<'a>(&'a Meta);

impl Serialize for AllHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Meta { headers, causation_id, .. } = self.0;
        let count = headers.len() + usize::from(causation_id.is_some());
        let mut map = serializer.serialize_map(Some(count))?;
        for (name, value) in headers.iter() {
            map.serialize_entry(name, value)?;
        }
        if let Some(id) = causation_id {
            map.serialize_entry(names::CAUSATION_ID, id)?;
        }
        map.end()
    }
}

/// Appends `"name":value`, with a comma before it unless the object has just begun.
fn field<V: Serialize + ?Sized>(
    body: &mut Vec<u8>,
    name: &str,
    value: &V,
) -> Result<(), serde_json::Error> {
    if body.last() != Some(&b'{') {
        body.push(b',');
    }
    body.push(b'"');
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
    serde_json::to_writer(body, value)
}

/// Appends the kind fields to the object that starts at `start`, if it is one.
fn add_kind_fields(
    body: &mut Vec<u8>,
    start: usize,
    fields: &KindFields<'_>,
) -> Result<(), serde_json::Error> {
    if body.get(start) != Some(&b'{') {
        return Ok(());
    }
    let [success_name, details_name, target, reply, aggregate, code, message, error] = &*KIND_NAMES;
    let texts = [
        (target, fields.target_service),
        (reply, fields.reply_to),
        (aggregate, fields.aggregate_id),
        (code, fields.error_code),
        (message, fields.error_message),
        (error, fields.error_message),
    ];
    let wanted = texts.iter().any(|(_, value)| value.is_some()) || fields.success.is_some();
    if !wanted {
        return Ok(());
    }
    let end = body.pop();
    debug_assert_eq!(end, Some(b'}'));
    let payload_end = body.len();
    if let Some(success) = fields.success
        && !success_name.is_in(&body[start..payload_end])
    {
        field(body, success_name.name, &success)?;
    }
    for (name, value) in texts {
        if let Some(value) = value
            && !name.is_in(&body[start..payload_end])
        {
            field(body, name.name, value)?;
        }
    }
    if let Some(details) = fields.error_details
        && !details_name.is_in(&body[start..payload_end])
    {
        field(body, details_name.name, details)?;
    }
    body.push(b'}');
    Ok(())
}

/// A kind field's name, and what finds it in a payload.
struct KindName {
    name: &'static str,
    in_json: Finder<'static>,
}

/// Made once: a searcher costs more to make than to use on a small payload.
static KIND_NAMES: LazyLock<[KindName; 8]> = LazyLock::new(|| {
    [
        "success",
        "errorDetails",
        "targetService",
        "replyTo",
        "aggregateId",
        "errorCode",
        "errorMessage",
        "error",
    ]
    .map(|name| KindName { name, in_json: Finder::new(&format!("\"{name}\":")).into_owned() })
});

impl KindName {
    /// True if the object (its closing brace cut off) has a field of this name at its top level.
    fn is_in(&self, object: &[u8]) -> bool {
        // Hardly any payload holds the name at all, so that nearly none is parsed for it.
        let seen = self.in_json.find(object).is_some();
        seen && top_level_keys(object).iter().any(|key| key == self.name)
    }
}

fn top_level_keys(object: &[u8]) -> Vec<String> {
    let closed = [object, b"}"].concat();
    serde_json::from_slice::<BTreeMap<String, &RawValue>>(&closed)
        .map(|map| map.into_keys().collect())
        .unwrap_or_default()
}

/// The kind fields of a message that is about to be sent.
#[must_use]
pub fn kind_fields<'a, M: Message>(service: &'a str, key: Option<&'a str>) -> KindFields<'a> {
    let kind = M::INFO.kind;
    KindFields {
        target_service: (kind == Kind::Command).then_some(service),
        aggregate_id: key.filter(|_| kind == Kind::Event),
        success: (kind == Kind::Reply).then_some(true),
        ..KindFields::default()
    }
}
