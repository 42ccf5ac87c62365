//! A message on its way to the broker.

use std::time::Duration;

use bytes::Bytes;

use crate::contract::address::Address;
use crate::contract::{Headers, Text};

/// What stands beside a body: the AMQP properties, which other brokers carry as headers.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Properties {
    /// The message's id.
    pub message_id: Option<Text>,
    /// What the message belongs to.
    pub correlation_id: Option<Text>,
    /// The type's name.
    pub message_type: Option<Text>,
    /// When it was made, in seconds since 1970.
    pub timestamp: Option<u64>,
    /// The media type of the body.
    pub content_type: Option<Text>,
    /// The encoding of the body.
    pub content_encoding: Option<Text>,
    /// Where an answer goes.
    pub reply_to: Option<Text>,
    /// How long it may wait in a queue, in milliseconds.
    pub expiration_ms: Option<u64>,
    /// From 0 to 9 (to 255 from foreign senders).
    pub priority: Option<u8>,
    /// The sending service.
    pub app_id: Option<Text>,
    /// True if it survives a restart of the broker.
    pub persistent: bool,
    /// Headers.
    pub headers: Headers,
}

/// A body with an address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// Where to.
    pub address: Address,
    /// What stands beside the body.
    pub properties: Properties,
    /// The body.
    pub body: Bytes,
    /// True if it is an error that no queue takes it.
    pub mandatory: bool,
    /// True if it may go to a consumer of this process without the broker. Only a
    /// [`Loopback`](super::Loopback) knows such a way; everywhere else it makes no difference.
    pub near: bool,
    /// True if whoever publishes waits for something else that proves its arrival, as a reply does, and has a limit
    /// for that: a transport may then be some milliseconds late with its confirm, which spares waking the caller for
    /// it, and tries until the caller gives up.
    pub unhurried: bool,
    /// How long the broker keeps the message back before it is in its queue; needs
    /// [`Capability::Delay`](super::Capability::Delay) and the address of a queue.
    ///
    /// A broker whose delays come in steps may put it there early, but not before half of the time
    /// is over, and never later than asked by more than a second: who needs the exact moment looks
    /// at the clock and delays the rest.
    pub delay: Option<Duration>,
}

impl Outgoing {
    /// A persistent message that must reach a queue.
    #[must_use]
    pub fn new(address: Address, mut properties: Properties, body: impl Into<Bytes>) -> Self {
        properties.persistent = true;
        Self {
            address,
            properties,
            body: body.into(),
            mandatory: true,
            near: false,
            unhurried: false,
            delay: None,
        }
    }

    /// Says whether it is an error that no queue takes it.
    #[must_use]
    pub const fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    /// Asks the broker to keep the message back for this long.
    #[must_use]
    pub const fn delayed(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The message's id for errors; `-` where it has none.
    #[must_use]
    pub fn id(&self) -> Text {
        self.properties.message_id.clone().unwrap_or_else(|| "-".into())
    }
}
