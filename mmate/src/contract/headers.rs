//! Headers: small named values that travel beside the payload.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::Text;

/// The names of headers that Mmate writes or reads.
pub mod names {
    /// How many times the message was handed to a handler, this time included. From 1.
    pub const ATTEMPT: &str = "x-attempt";
    /// How many attempts the Go sibling has made of a message whose retry it delayed. From 0.
    pub const SIBLING_ATTEMPTS: &str = "x-retry-attempt";
    /// Before this moment the message is not handed to a handler: milliseconds since 1970, UTC. A retry
    /// that waits at the broker carries it.
    pub const NOT_BEFORE: &str = "x-not-before";
    /// When whoever asks stops to wait: milliseconds since 1970, UTC. A request carries it.
    pub const DEADLINE: &str = "x-deadline";
    /// Asks for a word on how the message ended, sent to its reply address.
    pub const ACKNOWLEDGE: &str = "x-acknowledge";
    /// Asks the responder to say who it is: several may answer.
    pub const GATHER: &str = "x-gather";
    /// Who answered, by the queue that it consumes; written into the answers of a gathering.
    pub const RESPONDER: &str = "x-responder";
    /// The id of the request that a reply answers, in the envelope's headers of the family's documents.
    pub const REQUEST_ID: &str = "requestId";
    /// The contract's version, written where it is not 1.
    pub const SCHEMA_VERSION: &str = "x-schema-version";
    /// The id of the message that caused this one; stands in the envelope's headers.
    pub const CAUSATION_ID: &str = "causationId";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace state.
    pub const TRACESTATE: &str = "tracestate";
    /// Why a message was dead-lettered: a short word.
    pub const DEATH_REASON: &str = "x-death-reason";
    /// The error that a person reads, at most 1,024 bytes.
    pub const DEATH_ERROR: &str = "x-death-error";
    /// The queue that the message was taken from.
    pub const DEATH_QUEUE: &str = "x-death-queue";
    /// When, RFC 3339.
    pub const DEATH_TIME: &str = "x-death-time";
    /// How many attempts were made.
    pub const DEATH_ATTEMPTS: &str = "x-death-attempts";
    /// The exchange that the message came through.
    pub const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
    /// The routing key that the message came with.
    pub const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";
    /// The service and handler that gave up.
    pub const DEATH_HANDLER: &str = "x-death-handler";
    /// How often the broker delivered the message before; quorum queues write it.
    pub const DELIVERY_COUNT: &str = "x-delivery-count";
    /// What RabbitMQ writes into a message that it moves because it was rejected, expired or delivered
    /// too often: where it was before.
    pub const BROKER_DEATHS: [&str; 7] = [
        "x-death",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
    ];
    /// The message's id again, for tools that look at headers (`wire.mirror_headers`).
    pub const MIRROR_MESSAGE_ID: &str = "X-Message-ID";
    /// The correlation id again (`wire.mirror_headers`).
    pub const MIRROR_CORRELATION_ID: &str = "X-Correlation-ID";
    /// The causation id again (`wire.mirror_headers`).
    pub const MIRROR_CAUSATION_ID: &str = "X-Causation-ID";
}

/// The value of a header: what an AMQP field table can hold, by meaning and not by width.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HeaderValue {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of any width.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(Text),
    /// A time in whole seconds since 1970.
    Time(u64),
    /// A decimal number, `value / 10^scale`.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// All digits as one number.
        value: u32,
    },
    /// Bytes.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<HeaderValue>),
    /// A nested table.
    Table(Headers),
}

impl HeaderValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, also from a text of digits, as the Go sibling writes some of them.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// What kind of value it is, in words for an error.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Time(_) => "a timestamp",
            Self::Decimal { .. } => "a decimal",
            Self::Bytes(_) => "a byte array",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// True for values that a JSON envelope can carry as one value.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        matches!(
            self,
            Self::Null
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Float(_)
                | Self::Text(_)
                | Self::Time(_)
        )
    }
}

impl Serialize for HeaderValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Time(seconds) => serializer.serialize_u64(*seconds),
            Self::Decimal { scale, value } => {
                serializer.serialize_f64(f64::from(*value) / 10_f64.powi(i32::from(*scale)))
            }
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = HeaderValue;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the value of a header")
            }
            fn visit_unit<E>(self) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Null)
            }
            fn visit_bool<E>(self, flag: bool) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Bool(flag))
            }
            fn visit_i64<E>(self, number: i64) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Int(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<HeaderValue, E> {
                let whole = i64::try_from(number).map(HeaderValue::Int);
                Ok(whole.unwrap_or(HeaderValue::Float(number as f64)))
            }
            fn visit_f64<E>(self, number: f64) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Float(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Text(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<HeaderValue, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(HeaderValue::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderValue, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = map.next_entry::<Text, HeaderValue>()? {
                    headers.set(name, value);
                }
                Ok(HeaderValue::Table(headers))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

macro_rules! from_value {
    ($($source:ty => |$value:ident| $target:expr;)*) => {$(
        impl From<$source> for HeaderValue {
            fn from($value: $source) -> Self {
                $target
            }
        }
    )*};
}

from_value! {
    bool => |value| Self::Bool(value);
    i32 => |value| Self::Int(value.into());
    u32 => |value| Self::Int(value.into());
    i64 => |value| Self::Int(value);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.into());
    String => |value| Self::Text(value.into());
    &String => |value| Self::Text(value.into());
    Text => |value| Self::Text(value);
    &Text => |value| Self::Text(value.clone());
}

/// That a broker took a message out of a queue by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDeath<'a> {
    /// The queue that the message was in.
    pub queue: &'a str,
    /// Why, in the broker's word: `rejected`, `expired`, `maxlen`, `delivery_limit`.
    pub reason: &'a str,
    /// When, in seconds since 1970.
    pub time: Option<u64>,
}

/// Headers in the order in which they were set; names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(Vec<(Text, HeaderValue)>);

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.0.iter().find(|(key, _)| is_same(key, name)).map(|(_, value)| value)
    }

    /// The text of a header, if it is one.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(HeaderValue::as_str)
    }

    /// Sets a header, replacing one of the same name.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<HeaderValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| is_same(key, &name)) {
            Some(entry) => *entry = (name, value),
            None => self.push(name, value),
        }
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) -> Option<HeaderValue> {
        let at = self.0.iter().position(|(key, _)| is_same(key, name))?;
        Some(self.0.remove(at).1)
    }

    /// Removes what RabbitMQ wrote about earlier queues of the message. A copy is published without
    /// it: the broker drops a message without a word when it believes to see it go round in a circle.
    pub fn remove_broker_deaths(&mut self) {
        for name in names::BROKER_DEATHS {
            self.remove(name);
        }
    }

    /// The newest of them.
    #[must_use]
    pub fn broker_death(&self) -> Option<BrokerDeath<'_>> {
        let [deaths, ..] = names::BROKER_DEATHS;
        let Some(HeaderValue::List(deaths)) = self.get(deaths) else { return None };
        let Some(HeaderValue::Table(newest)) = deaths.first() else { return None };
        let time = match newest.get("time") {
            Some(HeaderValue::Time(seconds)) => Some(*seconds),
            _ => None,
        };
        Some(BrokerDeath { queue: newest.text("queue")?, reason: newest.text("reason")?, time })
    }

    /// Sets every header of `other` that is not set here.
    pub fn fill_from(&mut self, other: &Headers) {
        self.0.reserve_exact(other.len());
        for (name, value) in &other.0 {
            if self.get(name).is_none() {
                self.0.push((name.clone(), value.clone()));
            }
        }
    }

    /// All headers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Adds a header that is not looked for among the others: what a sender wrote twice is read as the first.
    pub(super) fn push(&mut self, name: Text, value: HeaderValue) {
        if self.0.capacity() == 0 {
            // Most messages have one header at most, and a vector begins with room for four.
            self.0.reserve_exact(1);
        }
        self.0.push((name, value));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Nearly every name is written as it is looked for, which is told faster.
fn is_same(name: &str, other: &str) -> bool {
    name == other || name.eq_ignore_ascii_case(other)
}

impl<N: Into<Text>> FromIterator<(N, HeaderValue)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, HeaderValue)>>(iter: I) -> Self {
        let iter = iter.into_iter();
        let mut headers = Self(Vec::with_capacity(iter.size_hint().0));
        for (name, value) in iter {
            headers.set(name, value);
        }
        headers
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_value_is_read_as_a_header() {
        let read = |json: &str| serde_json::from_str::<HeaderValue>(json).unwrap();
        assert_eq!(read("null"), HeaderValue::Null);
        assert_eq!(read("true"), HeaderValue::Bool(true));
        assert_eq!(read("-3"), HeaderValue::Int(-3));
        assert_eq!(read("9223372036854775807"), HeaderValue::Int(i64::MAX));
        assert_eq!(read("9223372036854775808"), HeaderValue::Float(9_223_372_036_854_775_808.0));
        assert_eq!(read("0.5"), HeaderValue::Float(0.5));
        assert_eq!(read(r#""a\nb""#), HeaderValue::Text("a\nb".into()));
        assert_eq!(read("[1, []]"), HeaderValue::List(vec![1.into(), HeaderValue::List(vec![])]));
        let HeaderValue::Table(table) = read(r#"{"a": 1, "A": 2}"#) else { panic!("no table") };
        assert_eq!((table.len(), table.get("a")), (1, Some(&HeaderValue::Int(2))));
    }
}
