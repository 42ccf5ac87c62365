//! Holds both sides to the same work: what they put on the wire may differ in ids and times alone.

use ::lapin::BasicProperties;
use ::lapin::message::Delivery;
use ::lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;

use crate::Result;
use crate::broker::Scene;

/// Parts of a body that are new in every message, or belong to one program alone.
const FRESH: [&str; 6] =
    ["/id", "/timestamp", "/correlationId", "/replyTo", "/payload/replyTo", "/headers/causationId"];

/// The header that holds a moment.
const DEADLINE: &str = "x-deadline";

/// Lets both sides publish one message and compares what arrives.
///
/// # Errors
/// If the bodies or the properties differ.
pub(crate) async fn check(
    scene: &Scene,
    by_hand: impl Future<Output = Result>,
    by_mmate: impl Future<Output = Result>,
) -> Result {
    by_hand.await?;
    let ours = scene.take_one().await?;
    by_mmate.await?;
    let theirs = scene.take_one().await?;
    compare(&ours, &theirs)
}

/// Compares two messages.
///
/// # Errors
/// If the bodies or the properties differ.
pub(crate) fn compare(ours: &Delivery, theirs: &Delivery) -> Result {
    let (what, ours_is, theirs_is) = if shape(ours)? != shape(theirs)? {
        ("bodies", text(ours), text(theirs))
    } else if places(ours) != places(theirs) {
        ("properties", places(ours), places(theirs))
    } else {
        return Ok(());
    };
    Err(format!("the two sides write different {what}: {ours_is} against {theirs_is}").into())
}

/// The body without what is fresh, and how many bytes the rest takes on the wire.
fn shape(delivery: &Delivery) -> Result<(usize, Value)> {
    let mut body: Value = serde_json::from_slice(&delivery.data)?;
    let mut bytes = delivery.data.len();
    for place in FRESH {
        if let Some(value) = body.pointer_mut(place) {
            // A time is shorter when its milliseconds end in a zero.
            bytes -= value.as_str().map_or(0, str::len);
            *value = Value::Null;
        }
    }
    Ok((bytes, body))
}

/// Address and properties, with what is fresh reduced to whether it is there.
fn places(delivery: &Delivery) -> String {
    let properties = &delivery.properties;
    let fresh = [
        properties.message_id().is_some(),
        properties.correlation_id().is_some(),
        properties.timestamp().is_some(),
        properties.reply_to().is_some(),
    ];
    let headers = properties.headers().as_ref().map(without_moments);
    let rest: BasicProperties = properties
        .clone()
        .with_message_id("".into())
        .with_correlation_id("".into())
        .with_reply_to("".into())
        .with_headers(FieldTable::default())
        .with_timestamp(0);
    format!("{} {} {fresh:?} {headers:?} {rest:?}", delivery.exchange, delivery.routing_key)
}

fn without_moments(headers: &FieldTable) -> FieldTable {
    let mut headers = headers.clone();
    if let Some(AMQPValue::LongLongInt(_)) = headers.inner().get(DEADLINE) {
        headers.insert(DEADLINE.into(), AMQPValue::LongLongInt(0));
    }
    headers
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}
