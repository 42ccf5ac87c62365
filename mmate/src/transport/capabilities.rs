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

impl Capability {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 12] = [
        Self::TopicPatterns,
        Self::CompetingConsumers,
        Self::Broadcast,
        Self::Priority,
        Self::Ttl,
        Self::DeadLetter,
        Self::Delay,
        Self::Confirms,
        Self::Mandatory,
        Self::LengthLimit,
        Self::DeliveryCount,
        Self::Durable,
    ];

    /// What to do on a transport without it, or what Mmate does then by itself.
    #[must_use]
    pub const fn fallback(self) -> &'static str {
        match self {
            Self::TopicPatterns => {
                "leave out `topic`: the queue is bound by the type of the message"
            }
            Self::CompetingConsumers => {
                "run one instance of the service and raise its `concurrency`"
            }
            Self::Broadcast => {
                "run the instances under names of their own (`service.name`): each name has its own queue"
            }
            Self::Priority => {
                "leave out `max_priority`, and give urgent messages a type, and so a queue, of their own"
            }
            Self::Ttl => "compare the message's timestamp in the handler and return `Discard`",
            Self::DeadLetter => {
                "nothing: Mmate's own dead letters are confirmed copies; what expires is not kept"
            }
            Self::Delay => {
                "nothing: waits between attempts stay in the process and hold a place of the prefetch"
            }
            Self::Confirms => {
                "send what matters again until its effect is seen; a publish may be lost without a word"
            }
            Self::Mandatory => {
                "check with `topology` that a queue is bound; an unroutable publish is not noticed"
            }
            Self::LengthLimit => "watch the length of the queue; nothing keeps it from growing",
            Self::DeliveryCount => {
                "nothing: a redelivery counts as one attempt, however often the message came before"
            }
            Self::Durable => "use it for tests; what is in it ends with the process",
        }
    }
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
