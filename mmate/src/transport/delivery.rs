//! A message that a broker handed over, and what becomes of it.

use bytes::Bytes;

use super::{Properties, TransportError};

/// Names a delivery within its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// A message as it came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Names it when it is settled.
    pub tag: Tag,
    /// The exchange that it came through; empty for the default one.
    pub exchange: String,
    /// The routing key that it came with.
    pub routing_key: String,
    /// True if the broker gave it to a consumer before.
    pub redelivered: bool,
    /// How often it was given to a consumer before, where the broker counts.
    pub delivery_count: Option<u32>,
    /// Id, type, headers and the like.
    pub properties: Properties,
    /// The body.
    pub body: Bytes,
}

impl Delivery {
    /// A delivery with nothing but the required parts.
    #[must_use]
    pub fn new(
        tag: Tag,
        routing_key: impl Into<String>,
        properties: Properties,
        body: Bytes,
    ) -> Self {
        Self {
            tag,
            exchange: String::new(),
            routing_key: routing_key.into(),
            redelivered: false,
            delivery_count: None,
            properties,
            body,
        }
    }

    /// How often it was delivered before: the broker's count, else once if it says "redelivered".
    #[must_use]
    pub fn earlier_deliveries(&self) -> u32 {
        self.delivery_count.unwrap_or(u32::from(self.redelivered))
    }
}

/// What a subscription gives.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a delivery is the common case and is moved on at once"
)]
pub enum Intake {
    /// A message.
    Delivery(Delivery),
    /// The subscription is over; unsettled deliveries will come again.
    Lost(TransportError),
    /// The subscription was cancelled by its owner and has nothing left to give.
    Ended,
}

/// The fate of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done; the broker forgets it.
    Ack,
    /// Not done; it comes again, to this or another consumer.
    Requeue,
    /// Refused; the broker dead-letters it where the queue says so, and drops it elsewhere.
    Reject,
}
