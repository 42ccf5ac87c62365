//! The family's JSON envelope and AMQP properties by hand, as fast as serde allows: the envelope is
//! written straight into a buffer that is used again, and read with its payload left raw.

use ::lapin::BasicProperties;
use ::lapin::types::{AMQPValue, FieldTable, ShortString};
use mmate::prelude::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Result;
use crate::message::{OrderLine, OrderPlaced};

/// The type's name on the wire.
pub(crate) const TYPE: &str = "OrderPlaced";

const PERSISTENT: u8 = 2;

/// Which properties stand beside a body, apart from `content_type` and `delivery_mode`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dress {
    /// The message's id.
    pub(crate) message_id: bool,
    /// The id of its flow.
    pub(crate) correlation_id: bool,
    /// The type's name.
    pub(crate) message_type: bool,
    /// When it was made.
    pub(crate) timestamp: bool,
    /// The sending service.
    pub(crate) app_id: bool,
    /// Message and correlation id again as headers.
    pub(crate) mirror: bool,
}

impl Dress {
    /// `content_type` and `delivery_mode` alone.
    pub(crate) const BARE: Self = Self {
        message_id: false,
        correlation_id: false,
        message_type: false,
        timestamp: false,
        app_id: false,
        mirror: false,
    };

    /// What Mmate writes by default.
    pub(crate) const MMATE: Self = Self {
        message_id: true,
        correlation_id: true,
        message_type: true,
        timestamp: true,
        app_id: true,
        mirror: false,
    };

    /// The properties of a message.
    pub(crate) fn properties(self, id: &str, time: Timestamp) -> BasicProperties {
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT);
        if self.message_id {
            properties = properties.with_message_id(id.into());
        }
        if self.correlation_id {
            properties = properties.with_correlation_id(id.into());
        }
        if self.message_type {
            properties = properties.with_type(TYPE.into());
        }
        if self.timestamp {
            properties = properties.with_timestamp(time.as_second().unsigned_abs());
        }
        if self.app_id {
            properties = properties.with_app_id(crate::mmate::service::NAME.into());
        }
        if self.mirror {
            let mut headers = FieldTable::default();
            for name in ["X-Message-ID", "X-Correlation-ID"] {
                headers.insert(ShortString::from(name), AMQPValue::LongString(id.into()));
            }
            properties = properties.with_headers(headers);
        }
        properties
    }
}

/// A new id as text, without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id([u8; 36]);

impl Id {
    /// A UUID v4 from the thread's own generator.
    pub(crate) fn new() -> Self {
        let uuid = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        Self::of(uuid)
    }

    fn of(uuid: Uuid) -> Self {
        let mut text = [0; 36];
        uuid.hyphenated().encode_lower(&mut text);
        Self(text)
    }

    /// Reads an id that was written as one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().map(Self)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The time now, in the milliseconds that an envelope carries.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    id: &'a str,
    r#type: &'a str,
    timestamp: Timestamp,
    correlation_id: &'a str,
    payload: Payload<'a>,
}

/// The event with the aggregate's id beside its own fields, where siblings look for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    order_id: &'a str,
    customer_id: &'a str,
    total_cents: u64,
    express: bool,
    lines: &'a [OrderLine],
    aggregate_id: &'a str,
}

/// Writes the envelope of an order into `body`, over what was there.
pub(crate) fn encode(body: &mut Vec<u8>, order: &OrderPlaced, id: &str, time: Timestamp) -> Result {
    body.clear();
    let payload = Payload {
        order_id: &order.order_id,
        customer_id: &order.customer_id,
        total_cents: order.total_cents,
        express: order.express,
        lines: &order.lines,
        aggregate_id: &order.order_id,
    };
    let envelope = Envelope { id, r#type: TYPE, timestamp: time, correlation_id: id, payload };
    Ok(serde_json::to_writer(body, &envelope)?)
}

#[derive(Deserialize)]
struct Opened<'a> {
    id: &'a str,
    r#type: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Reads the envelope, looks at its type and decodes the payload.
pub(crate) fn decode(body: &[u8]) -> Result<OrderPlaced> {
    let opened: Opened<'_> = serde_json::from_slice(body)?;
    if opened.r#type != TYPE {
        return Err(format!("`{}` is a `{}`", opened.id, opened.r#type).into());
    }
    Ok(serde_json::from_str(opened.payload.get())?)
}
