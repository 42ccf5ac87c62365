//! The four kinds of message, as values and as traits.

use super::Message;

/// What a message is for, which decides where it is sent and who may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Asks one service to do something.
    Command,
    /// Says that something happened, to whoever listens.
    Event,
    /// Asks one service to tell something.
    Query,
    /// Answers a command or a query.
    Reply,
}

impl Kind {
    /// The kind as the family writes it: `command`, `event`, `query`, `reply`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Event => "event",
            Self::Query => "query",
            Self::Reply => "reply",
        }
    }
}

/// A message sent to one service. `#[message(command)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "only a command goes to one service",
    note = "declare it with `#[message(command)]`; an event goes to whoever listens: `publish(..)` it, and nobody can say how it ended"
)]
pub trait Command: Message {}

/// A message published to whoever listens. `#[message(event)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "only an event can be published",
    note = "declare it with `#[message(event)]`, or send a command with `send(..)`"
)]
pub trait Event: Message {}

/// A message that asks and changes nothing. `#[message(query, reply = ..)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query",
    label = "only a query is asked of many",
    note = "declare it with `#[message(query, reply = SomeReply)]`; a command changes something in one service: ask it with `ask(..)`"
)]
pub trait Query: Request {}

/// An answer. `#[message(reply)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reply",
    label = "not a reply",
    note = "declare it with `#[message(reply)]`"
)]
pub trait Reply: Message {}

/// A command or query whose answer has a type. `reply = ..` in `#[message]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no reply",
    label = "only what names its reply can be asked",
    note = "declare it with `#[message(command, reply = SomeReply)]` or `#[message(query, reply = SomeReply)]`; an event is answered by nobody: `publish(..)` it"
)]
pub trait Request: Message {
    /// The type of the answer.
    type Reply: Reply;
}
