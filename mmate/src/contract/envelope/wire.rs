//! Reading: the fields of an envelope as they stand in a body, with keys in any case.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::contract::headers::{HeaderValue, Headers, names};
use crate::contract::text::Text;

/// An envelope's fields, borrowed from the body where they can be.
#[derive(Default)]
pub(super) struct Wire<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) message_type: Option<Cow<'a, str>>,
    pub(super) timestamp: Option<Cow<'a, str>>,
    pub(super) correlation_id: Option<Cow<'a, str>>,
    pub(super) reply_to: Option<Cow<'a, str>>,
    pub(super) beside: Option<Beside>,
    pub(super) payload: Option<&'a RawValue>,
}

/// An envelope's headers as they are read.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) causation_id: Option<Text>,
    pub(super) headers: Headers,
}

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Wire<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an envelope object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut wire = Wire::default();
                while let Some(Unescaped(key)) = map.next_key()? {
                    read_field(&mut wire, &key, &mut map)?;
                }
                Ok(wire)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn read_field<'de, A: MapAccess<'de>>(
    wire: &mut Wire<'de>,
    key: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    let is = |name: &str| key == name || key.eq_ignore_ascii_case(name);
    let slot = match key.len() {
        2 if is("id") => &mut wire.id,
        4 if is("type") => &mut wire.message_type,
        9 if is("timestamp") => &mut wire.timestamp,
        13 if is("correlationId") => &mut wire.correlation_id,
        7 if is("replyTo") => &mut wire.reply_to,
        7 if is("headers") => {
            wire.beside = map.next_value()?;
            return Ok(());
        }
        7 if is("payload") => {
            wire.payload = map.next_value()?;
            return Ok(());
        }
        _ => {
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        }
    };
    *slot = map.next_value::<Option<Unescaped<'de>>>()?.map(|Unescaped(text)| text);
    Ok(())
}

impl<'de> Deserialize<'de> for Beside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Beside;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of headers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Beside, A::Error> {
                let mut beside = Beside::default();
                while let Some((name, value)) = map.next_entry::<Text, HeaderValue>()? {
                    match value {
                        HeaderValue::Text(id) if name.eq_ignore_ascii_case(names::CAUSATION_ID) => {
                            beside.causation_id = Some(id);
                        }
                        value => beside.headers.push(name, value),
                    }
                }
                Ok(beside)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Text that is borrowed where it has no escapes; serde's own `Cow` always copies.
struct Unescaped<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Unescaped<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Unescaped<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Unescaped<'de>, E> {
                Ok(Unescaped(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Unescaped<'de>, E> {
                Ok(Unescaped(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Any)
    }
}
