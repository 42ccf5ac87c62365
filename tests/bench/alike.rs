//! Holds both sides to the same work: what they put on the wire may differ in ids and times alone.

use ::lapin::BasicProperties;
use ::lapin::message::Delivery;
use serde_json::Value;

use crate::Result;
use crate::broker::Scene;

/// Fields that are new in every message.
const FRESH: [&str; 3] = ["id", "timestamp", "correlationId"];

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
    if shape(&ours)? == shape(&theirs)? && places(&ours) == places(&theirs) {
        return Ok(());
    }
    Err(format!(
        "the two sides do not write the same: {} with {:?} against {} with {:?}",
        text(&ours),
        ours.properties,
        text(&theirs),
        theirs.properties
    )
    .into())
}

/// The body without what is fresh, and its length with it.
fn shape(delivery: &Delivery) -> Result<(usize, Value)> {
    let mut body: Value = serde_json::from_slice(&delivery.data)?;
    for name in FRESH {
        body[name] = Value::Null;
    }
    Ok((delivery.data.len(), body))
}

/// Address and properties, with what is fresh reduced to whether it is there.
fn places(delivery: &Delivery) -> (String, bool, bool, bool, BasicProperties) {
    let properties = &delivery.properties;
    (
        format!("{} {}", delivery.exchange, delivery.routing_key),
        properties.message_id().is_some(),
        properties.correlation_id().is_some(),
        properties.timestamp().is_some(),
        properties
            .clone()
            .with_message_id("".into())
            .with_correlation_id("".into())
            .with_timestamp(0),
    )
}

fn text(delivery: &Delivery) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&delivery.data)
}
