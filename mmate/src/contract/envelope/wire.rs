//! Reading: the fields of an envelope as they stand in a body, with keys in any case.

use std::borrow::Cow;
use std::marker::PhantomData;

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

/// Those of them that nobody can do without.
#[cfg(feature = "runtime")]
#[derive(Default)]
pub(super) struct Core<'a> {
    pub(super) message_type: Option<Cow<'a, str>>,
    pub(super) payload: Option<&'a RawValue>,
}

/// An envelope's headers as they are read.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) causation_id: Option<Text>,
    pub(super) headers: Headers,
}

/// Takes the value of one field after the other, or passes over it.
trait Fields<'de>: Default {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads an object's fields.
fn read_all<'de, F: Fields<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
    struct All<F>(PhantomData<F>);
    impl<'de, F: Fields<'de>> Visitor<'de> for All<F> {
        type Value = F;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an envelope object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
            let mut fields = F::default();
            while let Some(Unescaped(key)) = map.next_key()? {
                fields.read(&key, &mut map)?;
            }
            Ok(fields)
        }
    }
    deserializer.deserialize_map(All(PhantomData))
}

fn is(key: &str, name: &str) -> bool {
    key == name || key.eq_ignore_ascii_case(name)
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(map.next_value::<Option<Unescaped<'de>>>()?.map(|Unescaped(text)| text))
}

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_all::<Wire<'de>, D>(deserializer)
    }
}

impl<'de> Fields<'de> for Wire<'de> {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let slot = match key.len() {
            2 if is(key, "id") => &mut self.id,
            4 if is(key, "type") => &mut self.message_type,
            9 if is(key, "timestamp") => &mut self.timestamp,
            13 if is(key, "correlationId") => &mut self.correlation_id,
            7 if is(key, "replyTo") => &mut self.reply_to,
            7 if is(key, "headers") => {
                self.beside = map.next_value()?;
                return Ok(());
            }
            7 if is(key, "payload") => {
                self.payload = map.next_value()?;
                return Ok(());
            }
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        *slot = text(map)?;
        Ok(())
    }
}

#[cfg(feature = "runtime")]
impl<'de: 'a, 'a> Deserialize<'de> for Core<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_all::<Core<'de>, D>(deserializer)
    }
}

#[cfg(feature = "runtime")]
impl<'de> Fields<'de> for Core<'de> {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key.len() {
            4 if is(key, "type") => self.message_type = text(map)?,
            7 if is(key, "payload") => self.payload = map.next_value()?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
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
