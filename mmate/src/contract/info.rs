//! The description of a message type that `#[message]` writes down at compile time.

use super::Kind;
use std::sync::LazyLock;

/// Where an item stands in the user's source, for errors and listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The module path, as `module_path!` gives it.
    pub module: &'static str,
    /// The file, as `file!` gives it.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Everything that is known about a message type without a value of it.
///
/// A constant: the macro calls [`MessageInfo::new`] and one method per key that the user wrote.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MessageInfo {
    /// The type's name on the wire.
    pub name: &'static str,
    /// Further names under which the type is accepted.
    pub aliases: &'static [&'static str],
    /// Command, event, query or reply.
    pub kind: Kind,
    /// The contract's version, from 1.
    pub version: u32,
    /// The service that a command or query is meant for; without it, the sending service itself.
    pub service: Option<&'static str>,
    /// The queue that a command or query is sent to, instead of the address derived from its service.
    pub queue: Option<&'static str>,
    /// The kind of thing that an event is about.
    pub aggregate: Option<&'static str>,
    /// The field that identifies the thing: the aggregate id of an event.
    pub key: Option<&'static str>,
    /// The name of the answer's type.
    pub reply: Option<fn() -> &'static MessageInfo>,
    /// Priority from 0 to 9; 5 is ordinary.
    pub priority: Option<u8>,
    /// How long the message is worth handling, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The type's doc comment.
    pub docs: &'static str,
    /// Where the type is declared.
    pub location: Location,
    /// Makes the payload's JSON schema; [`super::schema`] caches it.
    pub schema: fn() -> schemars::Schema,
    /// The Rust type's full name, to tell two types with one wire name apart.
    pub rust_name: fn() -> &'static str,
}

impl MessageInfo {
    /// The description of `M` with nothing but the required parts.
    #[must_use]
    pub const fn new<M: schemars::JsonSchema + 'static>(
        kind: Kind,
        name: &'static str,
        location: Location,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            version: 1,
            service: None,
            queue: None,
            aggregate: None,
            key: None,
            reply: None,
            priority: None,
            ttl_ms: None,
            docs: "",
            location,
            schema: super::schema::root_schema::<M>,
            rust_name: std::any::type_name::<M>,
        }
    }

    /// Sets the doc comment.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets further accepted names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sets the contract's version.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the service that the message is meant for.
    #[must_use]
    pub const fn service(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }

    /// Sets the queue that the message is sent to.
    #[must_use]
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets the kind of thing that the event is about.
    #[must_use]
    pub const fn aggregate(mut self, aggregate: &'static str) -> Self {
        self.aggregate = Some(aggregate);
        self
    }

    /// Names the field that identifies the thing.
    #[must_use]
    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// Names the answer.
    #[must_use]
    pub const fn reply(mut self, reply: fn() -> &'static MessageInfo) -> Self {
        self.reply = Some(reply);
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the time to live in milliseconds.
    #[must_use]
    pub const fn ttl_ms(mut self, ttl_ms: u64) -> Self {
        self.ttl_ms = Some(ttl_ms);
        self
    }

    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The registration of a message type, collected at link time.
#[derive(Clone, Copy, Debug)]
pub struct MessageEntry {
    /// The type's description.
    pub info: &'static MessageInfo,
}

inventory::collect!(MessageEntry);

/// All message types that are linked into this program, by name, then version.
#[must_use]
pub fn registered_messages() -> Vec<&'static MessageInfo> {
    // There are never more than at the start of the program.
    static SORTED: LazyLock<Vec<&'static MessageInfo>> = LazyLock::new(|| {
        let mut all: Vec<_> =
            inventory::iter::<MessageEntry>.into_iter().map(|entry| entry.info).collect();
        all.sort_by_cached_key(|info| (info.name, info.version, (info.rust_name)()));
        all
    });
    SORTED.clone()
}
