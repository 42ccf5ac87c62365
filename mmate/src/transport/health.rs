//! How a transport's connections are.

use std::fmt;

/// How one connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkHealth {
    /// It works.
    Up,
    /// It is gone, with the reason, and is being made again.
    Down(String),
    /// It is there, and the broker takes no messages on it for now, with the reason.
    Blocked(String),
}

/// How a transport's connections are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportHealth {
    /// The side that publishes.
    pub publish: LinkHealth,
    /// The side that consumes.
    pub consume: LinkHealth,
}

impl LinkHealth {
    /// True if it works.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

impl TransportHealth {
    /// What the two sides show.
    #[must_use]
    pub const fn new(publish: LinkHealth, consume: LinkHealth) -> Self {
        Self { publish, consume }
    }

    /// Nothing is wrong.
    #[must_use]
    pub const fn up() -> Self {
        Self::new(LinkHealth::Up, LinkHealth::Up)
    }
}

impl fmt::Display for LinkHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down(reason) => write!(f, "down: {reason}"),
            Self::Blocked(reason) => write!(f, "blocked: {reason}"),
        }
    }
}
