//! Names: exchanges, routing keys and queues, as the siblings of the family use them.

use std::borrow::Cow;

use super::{Kind, MessageInfo, Text};

/// Exchanges that every sibling declares: topic, durable, no arguments.
pub mod exchanges {
    /// Commands.
    pub const COMMANDS: &str = "mmate.commands";
    /// Events.
    pub const EVENTS: &str = "mmate.events";
    /// Queries.
    pub const QUERIES: &str = "mmate.queries";
    /// Whatever else a sibling publishes.
    pub const MESSAGES: &str = "mmate.messages";
    /// Announcements of contracts.
    pub const CONTRACTS: &str = "mmate.contracts";
    /// The broker's own exchange, where the routing key is the name of a queue.
    pub const DEFAULT: &str = "";
    /// The topic exchanges, in the order in which they are declared.
    pub const TOPICS: [&str; 5] = [COMMANDS, EVENTS, QUERIES, MESSAGES, CONTRACTS];
}

/// The longest name of an exchange, queue or routing key, in bytes: AMQP's short string.
pub const NAME_BYTES_MAX: usize = 255;

/// Where a message is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The exchange; empty for the default one.
    pub exchange: Cow<'static, str>,
    /// The routing key; the queue's name with the default exchange.
    pub routing_key: Text,
}

impl Address {
    /// The address of a queue itself.
    #[must_use]
    pub fn queue(name: impl Into<Text>) -> Self {
        Self { exchange: Cow::Borrowed(exchanges::DEFAULT), routing_key: name.into() }
    }

    /// Where a message of this type goes. `service` is the sender's own name, used where a command
    /// names no service; `key` is the aggregate id of an event.
    #[must_use]
    pub fn of(info: &MessageInfo, service: &str, key: Option<&str>) -> Self {
        let routing_key = match info.kind {
            Kind::Command => match info.queue {
                Some(queue) => queue.into(),
                None => Text::concat(["cmd.", info.service.unwrap_or(service), ".", info.name]),
            },
            Kind::Query => match info.queue {
                Some(queue) => queue.into(),
                None => Text::concat(["qry.", info.name]),
            },
            Kind::Event => {
                let about = key.or(info.aggregate).unwrap_or_default();
                Text::concat(["evt.", about, ".", info.name])
            }
            Kind::Reply => Text::concat(["rpl.", info.name]),
        };
        Self { exchange: Cow::Borrowed(exchange(info.kind)), routing_key }
    }
}

/// The exchange of a kind. Replies that have an address go to the default exchange instead.
#[must_use]
pub const fn exchange(kind: Kind) -> &'static str {
    match kind {
        Kind::Command => exchanges::COMMANDS,
        Kind::Event => exchanges::EVENTS,
        Kind::Query => exchanges::QUERIES,
        Kind::Reply => exchanges::MESSAGES,
    }
}

/// The queue of a handler that names none. `group` stands for the service where it is given.
#[must_use]
pub fn default_queue(info: &MessageInfo, service: &str, group: Option<&str>) -> String {
    match info.kind {
        Kind::Command => match info.queue {
            Some(queue) => queue.to_owned(),
            None => format!("cmd.{}.{}", info.service.unwrap_or(service), info.name),
        },
        Kind::Query => format!("qry.{}.{}", info.service.unwrap_or(service), info.name),
        Kind::Event => {
            let owner = group.unwrap_or(service);
            match info.aggregate {
                Some(aggregate) => format!("evt.{aggregate}.{}.{owner}", info.name),
                None => format!("evt.{}.{owner}", info.name),
            }
        }
        Kind::Reply => format!("rpl.{}.{service}", info.name),
    }
}

/// Every pattern under which a sibling may send this type, for binding a queue.
///
/// The aggregate part of an event's key is an id, may be empty and may hold dots, hence `#`.
#[must_use]
pub fn binding_patterns(info: &MessageInfo, service: &str) -> Vec<String> {
    let mut patterns: Vec<String> = info
        .names()
        .map(|name| match info.kind {
            Kind::Command => format!("cmd.{}.{name}", info.service.unwrap_or(service)),
            Kind::Query => format!("qry.{name}"),
            Kind::Event => format!("evt.#.{name}"),
            Kind::Reply => format!("rpl.{name}"),
        })
        .collect();
    if let (Kind::Command | Kind::Query, Some(queue)) = (info.kind, info.queue) {
        patterns.push(queue.to_owned());
    }
    patterns
}

/// The queue that parks the failed messages of `queue`.
#[must_use]
pub fn dead_letter_queue(queue: &str) -> String {
    format!("dlq.{queue}")
}

/// A topic pattern in AMQP's words: `>` is accepted at the end and means `#`.
#[must_use]
pub fn canonical_pattern(pattern: &str) -> String {
    match pattern.strip_suffix('>') {
        Some(start) if start.is_empty() || start.ends_with('.') => format!("{start}#"),
        _ => pattern.to_owned(),
    }
}

/// Checks a routing key: unlike a name it may hold any characters, an aggregate id as it is.
///
/// # Errors
/// If it is longer than a broker takes.
pub fn check_routing_key(key: &str) -> Result<(), String> {
    if key.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(format!("has {} bytes; AMQP allows {NAME_BYTES_MAX}", key.len()))
}

/// Checks a name of a queue or exchange, or an id.
///
/// # Errors
/// Says what is wrong with the name, to stand after "queue `..`".
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("has {} bytes; AMQP allows {NAME_BYTES_MAX}", name.len()));
    }
    if name.starts_with("amq.") {
        return Err("starts with `amq.`, which the broker keeps for itself".to_owned());
    }
    // Ids and routing keys pass here with every message, and nearly all are plain ASCII.
    if name.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        return Ok(());
    }
    match name.chars().find(|c| c.is_control() || c.is_whitespace()) {
        Some(c) => Err(format!("contains the character {c:?}")),
        None => Ok(()),
    }
}
