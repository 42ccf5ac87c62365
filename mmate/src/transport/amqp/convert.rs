//! Properties and headers, to AMQP and back.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery as AmqpDelivery;
use lapin::types::{
    AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, MAX_SHORT_STRING_LENGTH,
    ShortString,
};

use crate::contract::headers::names::DELIVERY_COUNT;
use crate::contract::{HeaderValue, Headers, Text};
use crate::transport::{Delivery, Properties, Tag};

/// How deep tables and lists may be nested in a received message; what is deeper becomes `Null`.
const NESTING_MAX: usize = 32;

const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// Properties for the wire: those that [`wire_bytes`] has found to fit.
pub(super) fn to_amqp(properties: &Properties) -> BasicProperties {
    let mut amqp = match properties {
        // What every message of ours has. Each step moves the properties; steps without a choice between them become one.
        Properties {
            message_id: Some(message_id),
            correlation_id: Some(correlation_id),
            message_type: Some(message_type),
            content_type: Some(content_type),
            app_id: Some(app_id),
            timestamp: Some(timestamp),
            ..
        } => {
            // Texts first: what is half made would have to be kept safe from a panic meanwhile.
            let (message_id, correlation_id) = (short(message_id), short(correlation_id));
            let (message_type, content_type) = (short(message_type), short(content_type));
            let app_id = short(app_id);
            BasicProperties::default()
                .with_delivery_mode(mode(properties))
                .with_message_id(message_id)
                .with_correlation_id(correlation_id)
                .with_type(message_type)
                .with_content_type(content_type)
                .with_app_id(app_id)
                .with_timestamp(*timestamp)
        }
        _ => described(properties),
    };
    if let Some(encoding) = &properties.content_encoding {
        amqp = amqp.with_content_encoding(short(encoding));
    }
    if let Some(reply_to) = &properties.reply_to {
        amqp = amqp.with_reply_to(short(reply_to));
    }
    if let Some(expiration) = properties.expiration_ms {
        amqp = amqp.with_expiration(ShortString::from(expiration.to_string()));
    }
    if let Some(priority) = properties.priority {
        amqp = amqp.with_priority(priority);
    }
    if !properties.headers.is_empty() {
        amqp = amqp.with_headers(table(&properties.headers));
    }
    amqp
}

/// What every message of ours has, where some of it is missing.
#[cold]
fn described(properties: &Properties) -> BasicProperties {
    let mut amqp = BasicProperties::default().with_delivery_mode(mode(properties));
    macro_rules! texts {
        ($($field:ident => $with:ident;)*) => {
            $(if let Some(text) = &properties.$field {
                amqp = amqp.$with(short(text));
            })*
        };
    }
    texts! {
        message_id => with_message_id;
        correlation_id => with_correlation_id;
        message_type => with_type;
        content_type => with_content_type;
        app_id => with_app_id;
    }
    if let Some(timestamp) = properties.timestamp {
        amqp = amqp.with_timestamp(timestamp);
    }
    amqp
}

const fn mode(properties: &Properties) -> u8 {
    if properties.persistent { PERSISTENT } else { TRANSIENT }
}

/// An upper bound of what properties take on the wire, in bytes.
///
/// # Errors
/// Says in words which text is longer than AMQP's 255 bytes.
pub(super) fn wire_bytes(properties: &Properties) -> Result<usize, String> {
    let texts = [
        (&properties.message_id, "message id"),
        (&properties.correlation_id, "correlation id"),
        (&properties.message_type, "type"),
        (&properties.content_type, "content type"),
        (&properties.content_encoding, "content encoding"),
        (&properties.reply_to, "reply address"),
        (&properties.app_id, "app id"),
    ];
    // Numbers, the expiration's digits and the flags take at most 32 bytes together.
    let mut bytes = 32;
    for (text, what) in texts {
        if let Some(text) = text {
            bytes += short_bytes(text, what)?;
        }
    }
    Ok(bytes + table_bytes(&properties.headers)?)
}

/// A delivery in the port's words. The body is moved, not copied.
pub(super) fn delivery(amqp: AmqpDelivery) -> Delivery {
    let mut properties = properties(&amqp.properties);
    forget_delay(&mut properties.headers);
    // The broker's own count: kept out of the headers, so that a copy that is published does not
    // carry the count of another message.
    let delivery_count = properties
        .headers
        .remove(DELIVERY_COUNT)
        .and_then(|count| count.as_i64())
        .and_then(|count| u32::try_from(count).ok());
    let mut delivery =
        Delivery::new(Tag(amqp.delivery_tag), amqp.routing_key, properties, Bytes::from(amqp.data));
    delivery.exchange = amqp.exchange.into();
    delivery.redelivered = amqp.redelivered;
    delivery.delivery_count = delivery_count;
    delivery
}

/// A message that was kept back comes as if it had been published just now: that it expired in a
/// delay queue is how delaying works.
fn forget_delay(headers: &mut Headers) {
    let newest = headers.broker_death().map(|death| death.queue);
    if newest.is_some_and(|queue| queue.starts_with(super::delay::PREFIX)) {
        headers.remove_broker_deaths();
    }
}

/// Properties as they came.
pub(super) fn properties(amqp: &BasicProperties) -> Properties {
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| Text::from(text.as_str()));
    Properties {
        message_id: text(amqp.message_id()),
        correlation_id: text(amqp.correlation_id()),
        message_type: text(amqp.kind()),
        timestamp: *amqp.timestamp(),
        content_type: text(amqp.content_type()),
        content_encoding: text(amqp.content_encoding()),
        reply_to: text(amqp.reply_to()),
        // RabbitMQ refuses what is not a number; another broker's text is of no use here.
        expiration_ms: amqp.expiration().as_ref().and_then(|text| text.as_str().parse().ok()),
        priority: *amqp.priority(),
        app_id: text(amqp.app_id()),
        persistent: *amqp.delivery_mode() == Some(PERSISTENT),
        headers: amqp
            .headers()
            .as_ref()
            .map_or_else(Headers::new, |table| headers(table, NESTING_MAX)),
    }
}

fn table(headers: &Headers) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers.iter() {
        table.insert(short(name), to_value(value));
    }
    table
}

fn to_value(value: &HeaderValue) -> AMQPValue {
    match value {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(flag) => AMQPValue::Boolean(*flag),
        HeaderValue::Int(number) => AMQPValue::LongLongInt(*number),
        HeaderValue::Float(number) => AMQPValue::Double(*number),
        HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
        HeaderValue::Time(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::Decimal { scale, value } => {
            AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *value })
        }
        HeaderValue::Bytes(bytes) => AMQPValue::ByteArray(ByteArray::from(bytes.as_slice())),
        HeaderValue::List(items) => {
            let items: Vec<AMQPValue> = items.iter().map(to_value).collect();
            AMQPValue::FieldArray(FieldArray::from(items))
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(table(headers)),
    }
}

fn headers(table: &FieldTable, depth: usize) -> Headers {
    table
        .into_iter()
        .map(|(name, value)| (Text::from(name.as_str()), from_value(value, depth)))
        .collect()
}

fn from_value(value: &AMQPValue, depth: usize) -> HeaderValue {
    match value {
        AMQPValue::Boolean(flag) => HeaderValue::Bool(*flag),
        AMQPValue::ShortShortInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortShortUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::ShortUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongUInt(number) => HeaderValue::Int((*number).into()),
        AMQPValue::LongLongInt(number) => HeaderValue::Int(*number),
        AMQPValue::Float(number) => HeaderValue::Float((*number).into()),
        AMQPValue::Double(number) => HeaderValue::Float(*number),
        AMQPValue::DecimalValue(decimal) => {
            HeaderValue::Decimal { scale: decimal.scale, value: decimal.value }
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().into()),
        // Some clients write bytes as a long string; whatever is not text stays bytes.
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => HeaderValue::Text(text.into()),
            Err(_) => HeaderValue::Bytes(text.as_bytes().to_vec()),
        },
        AMQPValue::Timestamp(seconds) => HeaderValue::Time(*seconds),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::FieldArray(items) if depth > 0 => HeaderValue::List(
            items.as_slice().iter().map(|item| from_value(item, depth - 1)).collect(),
        ),
        AMQPValue::FieldTable(table) if depth > 0 => HeaderValue::Table(headers(table, depth - 1)),
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) | AMQPValue::Void => HeaderValue::Null,
    }
}

fn table_bytes(headers: &Headers) -> Result<usize, String> {
    let mut bytes = 4;
    for (name, value) in headers.iter() {
        bytes += short_bytes(name, "name of a header")? + value_bytes(value)?;
    }
    Ok(bytes)
}

fn value_bytes(value: &HeaderValue) -> Result<usize, String> {
    Ok(1 + match value {
        HeaderValue::Null => 0,
        HeaderValue::Bool(_) => 1,
        HeaderValue::Decimal { .. } => 5,
        HeaderValue::Int(_) | HeaderValue::Float(_) | HeaderValue::Time(_) => 8,
        HeaderValue::Text(text) => 4 + text.len(),
        HeaderValue::Bytes(bytes) => 4 + bytes.len(),
        HeaderValue::List(items) => {
            items.iter().try_fold(4, |bytes, item| Ok::<_, String>(bytes + value_bytes(item)?))?
        }
        HeaderValue::Table(headers) => table_bytes(headers)?,
    })
}

/// A text of at most 255 bytes. One copy of the code for all: it is used seven times for each message.
#[inline(never)]
fn short(text: &str) -> ShortString {
    ShortString::from(text)
}

/// What a text of at most 255 bytes takes.
fn short_bytes(text: &str, what: &str) -> Result<usize, String> {
    if text.len() <= MAX_SHORT_STRING_LENGTH {
        return Ok(1 + text.len());
    }
    Err(format!("its {what} has {} bytes; AMQP allows 255", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(properties: &Properties) -> Properties {
        super::properties(&to_amqp(properties))
    }

    fn full() -> Properties {
        let text = |text: &str| Some(Text::from(text));
        let mut nested = Headers::new();
        nested.set("inner", 7_i64);
        let mut headers = Headers::new();
        headers.set("null", HeaderValue::Null);
        headers.set("bool", true);
        headers.set("int", i64::MIN);
        headers.set("float", 1.5);
        headers.set("text", "grüße");
        headers.set("time", HeaderValue::Time(1_700_000_000));
        headers.set("decimal", HeaderValue::Decimal { scale: 2, value: 1999 });
        headers.set("bytes", HeaderValue::Bytes(vec![0, 255, 1]));
        headers.set(
            "list",
            HeaderValue::List(vec![1_i64.into(), "two".into(), HeaderValue::List(vec![])]),
        );
        headers.set("table", HeaderValue::Table(nested));
        Properties {
            message_id: text("id-1"),
            correlation_id: text("corr"),
            message_type: text("OrderPlaced"),
            timestamp: Some(1_700_000_000),
            content_type: text("application/json"),
            content_encoding: text("utf-8"),
            reply_to: text("reply.queue"),
            expiration_ms: Some(60_000),
            priority: Some(7),
            app_id: text("billing"),
            persistent: true,
            headers,
        }
    }

    /// Tables are sorted on the way, so headers are compared name by name.
    fn assert_same(actual: &Properties, expected: &Properties) {
        assert_eq!(actual.headers.len(), expected.headers.len());
        for (name, value) in expected.headers.iter() {
            assert_eq!(actual.headers.get(name), Some(value), "{name}");
        }
        let without =
            |properties: &Properties| Properties { headers: Headers::new(), ..properties.clone() };
        assert_eq!(without(actual), without(expected));
    }

    #[test]
    fn every_property_and_header_comes_back() {
        assert_same(&round_trip(&full()), &full());
        assert_same(&round_trip(&Properties::default()), &Properties::default());
        let lacking: [fn(&mut Properties); 6] = [
            |properties| properties.message_id = None,
            |properties| properties.correlation_id = None,
            |properties| properties.message_type = None,
            |properties| properties.content_type = None,
            |properties| properties.app_id = None,
            |properties| properties.timestamp = None,
        ];
        for lack in lacking {
            let mut most = full();
            lack(&mut most);
            assert_same(&round_trip(&most), &most);
        }
    }

    #[test]
    fn every_width_of_a_foreign_number_is_read() {
        let mut table = FieldTable::default();
        for (name, value) in [
            ("b", AMQPValue::ShortShortInt(-1)),
            ("B", AMQPValue::ShortShortUInt(255)),
            ("s", AMQPValue::ShortInt(-300)),
            ("u", AMQPValue::ShortUInt(60_000)),
            ("I", AMQPValue::LongInt(-70_000)),
            ("i", AMQPValue::LongUInt(4_000_000_000)),
            ("l", AMQPValue::LongLongInt(i64::MAX)),
        ] {
            table.insert(name.into(), value);
        }
        let headers: Vec<i64> =
            table.into_iter().map(|(_, value)| from_value(value, 1).as_i64().unwrap()).collect();
        assert_eq!(headers, [255, -70_000, -1, 4_000_000_000, i64::MAX, -300, 60_000]);
        assert_eq!(from_value(&AMQPValue::Float(0.5), 1), HeaderValue::Float(0.5));
    }

    #[test]
    fn a_long_string_that_is_not_text_stays_bytes() {
        let value = AMQPValue::LongString(vec![0xff, 0xfe].into());
        assert_eq!(from_value(&value, 1), HeaderValue::Bytes(vec![0xff, 0xfe]));
    }

    #[test]
    fn an_expiration_that_is_no_number_is_ignored() {
        let amqp = BasicProperties::default().with_expiration("soon".into());
        assert_eq!(properties(&amqp).expiration_ms, None);
    }

    #[test]
    fn a_text_that_is_too_long_is_named() {
        let properties =
            Properties { message_id: Some("x".repeat(256).into()), ..Properties::default() };
        let error = wire_bytes(&properties).unwrap_err();
        assert_eq!(error, "its message id has 256 bytes; AMQP allows 255");
    }

    #[test]
    fn nesting_that_is_too_deep_is_cut() {
        let mut value = AMQPValue::Boolean(true);
        for _ in 0..10 {
            value = AMQPValue::FieldArray(FieldArray::from(vec![value]));
        }
        let text = format!("{:?}", from_value(&value, 3));
        assert_eq!(text, "List([List([List([Null])])])");
    }

    #[test]
    fn the_size_on_the_wire_is_not_underestimated() {
        // A table's length, a name's length, the name, a type, a text's length, and the text.
        let mut properties = Properties::default();
        properties.headers.set("k", "x".repeat(1000));
        let bytes = wire_bytes(&properties).unwrap();
        assert!(bytes >= 4 + 1 + 1 + 1 + 4 + 1000);
        assert!(bytes < 1100);
    }
}
