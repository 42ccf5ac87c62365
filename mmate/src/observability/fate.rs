//! What can become of a message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a message: of a delivery that was taken from a queue, or of a publish.
///
/// Every delivery that a handler's queue gave ends in one fate. Those of [`Fate::is_end`] are final;
/// [`Fate::Left`] and [`Fate::Abandoned`] mean that the broker gives the message to somebody again, and
/// [`Fate::Retried`] that an attempt failed and another follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// The handler succeeded and everything that it published is confirmed.
    Handled,
    /// The handler's fallback succeeded in its place, and everything that it published is confirmed.
    FellBack,
    /// Refused by the business, answered where somebody waits, acknowledged.
    Rejected,
    /// Acknowledged and forgotten at the handler's wish.
    Discarded,
    /// A copy in the dead-letter queue is confirmed, with a reason.
    DeadLettered,
    /// Refused to the broker, which moves it to the dead-letter queue itself, without our headers.
    Moved,
    /// An attempt failed; another one follows.
    Retried,
    /// Comes again: the connection was lost, or the app stopped between two attempts.
    Left,
    /// Comes again: its handler was cancelled because the time for draining was over.
    Abandoned,
    /// Published; the broker has it.
    Confirmed,
    /// Not published: no queue takes it.
    Returned,
    /// Not published: the broker refused it.
    Refused,
    /// The broker said nothing in time, or the publish was given up: it may have arrived.
    Unknown,
    /// Not sent: it is too large, or cannot be written, or breaks its own schema.
    Invalid,
}

impl Fate {
    /// All of them, in the order in which they are counted and listed.
    pub const ALL: [Self; 14] = [
        Self::Handled,
        Self::FellBack,
        Self::Rejected,
        Self::Discarded,
        Self::DeadLettered,
        Self::Moved,
        Self::Retried,
        Self::Left,
        Self::Abandoned,
        Self::Confirmed,
        Self::Returned,
        Self::Refused,
        Self::Unknown,
        Self::Invalid,
    ];

    /// The word as it stands in files and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::FellBack => "fell_back",
            Self::Rejected => "rejected",
            Self::Discarded => "discarded",
            Self::DeadLettered => "dead_lettered",
            Self::Moved => "moved",
            Self::Retried => "retried",
            Self::Left => "left",
            Self::Abandoned => "abandoned",
            Self::Confirmed => "confirmed",
            Self::Returned => "returned",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }

    /// True if the message left its queue for good: nobody gets it from there again.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Handled
                | Self::FellBack
                | Self::Rejected
                | Self::Discarded
                | Self::DeadLettered
                | Self::Moved
        )
    }

    /// True if it is the fate of a publish, which is recorded by type and not by queue.
    #[must_use]
    pub const fn is_of_publish(self) -> bool {
        matches!(
            self,
            Self::Confirmed | Self::Returned | Self::Refused | Self::Unknown | Self::Invalid
        )
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_has_its_place_and_its_word() {
        for (index, fate) in Fate::ALL.into_iter().enumerate() {
            assert_eq!(fate as usize, index, "the index of {fate} is its counter");
            assert_eq!(serde_json::to_value(fate).unwrap(), fate.as_str());
        }
    }
}
