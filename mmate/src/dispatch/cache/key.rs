//! Which queries are equal.
//!
//! Those with the same type name, version, headers that follow the flow, and payload: the order of its keys,
//! white space and escapes do not matter. Neither do the family's own fields `replyTo` and `targetService` inside
//! the payload, so that callers with different reply queues share an answer, unless the message has a field of that name.
//! Nothing else is looked at: no other header, no property, nobody's identity.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::contract::MessageInfo;
use crate::contract::envelope::Opened;
use crate::contract::headers::names;
use crate::transport::Delivery;

/// The largest query that is cached, in bytes: its payload as it came, and the key that is made of it. A
/// larger one is handed to the handler each time.
pub const KEY_BYTES_MAX: usize = 64 * 1_024;

/// The family's fields inside a payload that say nothing about the question.
const KIND_FIELDS: [&str; 2] = ["replyTo", "targetService"];

/// What two equal queries have in common, whole: there is no hash that two could share by chance or by design.
pub(super) type Key = Arc<[u8]>;

/// Makes the keys of one handler.
#[derive(Debug)]
pub(super) struct Keys {
    headers: Vec<String>,
    dropped: Vec<&'static str>,
}

impl Keys {
    pub(super) fn new(message: &MessageInfo, flow_headers: &[String]) -> Self {
        let schema = (message.schema)();
        let mut dropped = KIND_FIELDS.to_vec();
        dropped.retain(|name| !may_read(schema.as_value(), name));
        let headers = [names::SCHEMA_VERSION.to_owned()];
        Self { headers: headers.into_iter().chain(flow_headers.iter().cloned()).collect(), dropped }
    }

    /// The key of a query; nothing if it is too large, or if it is not plain enough to be compared. Whatever
    /// is wrong with it is the handler's affair.
    pub(super) fn of(&self, opened: &Opened<'_>, delivery: &Delivery) -> Option<Key> {
        if opened.payload().len() > KEY_BYTES_MAX {
            return None;
        }
        let mut key = Vec::with_capacity(opened.payload().len() + 64);
        write_text(&mut key, &opened.meta.message_type)?;
        for name in &self.headers {
            // As the handler sees them: the envelope's own first.
            let headers = [&opened.meta.headers, &delivery.properties.headers];
            let value = headers.iter().find_map(|headers| headers.get(name));
            // Its debug form tells `1` from `"1"` and has no two values in common.
            write!(key, ",{value:?},").ok()?;
        }
        let payload = serde_json::from_str(opened.payload()).ok()?;
        write_value(&mut key, payload, &self.dropped)?;
        (key.len() <= KEY_BYTES_MAX).then(|| key.into())
    }
}

/// True if a message of this schema may have a field of this name at its top level. Where that cannot be seen
/// at once it may: then the field stays in the key, and some answers are not shared.
fn may_read(schema: &Value, name: &str) -> bool {
    let has = |key: &str, of: &str| schema.get(key).is_some_and(|fields| fields.get(of).is_some());
    let any = |key: &str| {
        let parts = schema.get(key).and_then(Value::as_array);
        parts.is_some_and(|parts| parts.iter().any(|part| may_read(part, name)))
    };
    let open = |key: &str| schema.get(key).is_some_and(|further| *further != Value::Bool(false));
    !schema.is_object()
        || has("properties", name)
        || ["additionalProperties", "unevaluatedProperties", "patternProperties", "$ref"]
            .into_iter()
            .any(open)
        || ["allOf", "anyOf", "oneOf"].into_iter().any(any)
}

/// Writes a value in its one form. Numbers stay as they came: to read one is to round it.
fn write_value(out: &mut Vec<u8>, value: &RawValue, dropped: &[&str]) -> Option<()> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => {
            let Object(mut fields) = serde_json::from_str(text).ok()?;
            fields.retain(|name, _| !dropped.contains(&name.as_str()));
            out.push(b'{');
            for (name, value) in &fields {
                write_text(out, name)?;
                out.push(b':');
                write_value(out, value, &[])?;
                out.push(b',');
            }
            out.push(b'}');
        }
        b'[' => {
            out.push(b'[');
            for item in serde_json::from_str::<Vec<&RawValue>>(text).ok()? {
                write_value(out, item, &[])?;
                out.push(b',');
            }
            out.push(b']');
        }
        b'"' => write_text(out, &serde_json::from_str::<String>(text).ok()?)?,
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Some(())
}

fn write_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    serde_json::to_writer(out, text).ok()
}

/// An object's fields by name. One that has a name twice means something else to every reader.
struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
