//! What a broker can do, as a table that the boot and the conformance suite read.

use std::fmt;

/// Something that not every broker can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Topic patterns with `*` and `#`.
    TopicPatterns,
    /// Several consumers share one queue.
    CompetingConsumers,
    /// A queue of its own for every running instance.
    Broadcast,
    /// Messages with a higher priority overtake those with a lower one.
    Priority,
    /// Messages that are not handled in time are not handled at all.
    Ttl,
    /// What is rejected, or expires, goes to the dead-letter queue by the broker itself.
    DeadLetter,
    /// A message is kept back for a while before it is in its queue, also through a restart of
    /// whoever sent it.
    Delay,
    /// A publish is confirmed by the broker.
    Confirms,
    /// A publish that no queue takes is an error.
    Mandatory,
    /// A queue refuses what exceeds its length limit.
    LengthLimit,
    /// The broker counts deliveries of one message.
    DeliveryCount,
    /// Messages survive a restart of the broker.
    Durable,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopicPatterns => "topic patterns",
            Self::CompetingConsumers => "competing consumers",
            Self::Broadcast => "broadcast",
            Self::Priority => "priorities",
            Self::Ttl => "time to live",
            Self::DeadLetter => "dead-lettering by the broker",
            Self::Delay => "delays kept by the broker",
            Self::Confirms => "publisher confirms",
            Self::Mandatory => "unroutable detection",
            Self::LengthLimit => "queue length limits",
            Self::DeliveryCount => "delivery counts",
            Self::Durable => "durable messages",
        })
    }
}

/// The table of one transport.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities(&'static [Capability]);

impl Capabilities {
    /// A transport with these capabilities.
    #[must_use]
    pub const fn new(capabilities: &'static [Capability]) -> Self {
        Self(capabilities)
    }

    /// True if the transport has the capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Capability> + '_ {
        self.0.iter().copied()
    }
}
