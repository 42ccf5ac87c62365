//! What a handler's return value means.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::HandlerError;
use crate::contract::refusal::ERROR_REPLY;
use crate::contract::{Message, Refusal, Reply, Request};
use crate::publish::erased::Payload;

/// What came of handling a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled.
    Done,
    /// Handled, with an answer for the caller if one waits.
    Answered(Answer),
    /// Not handled; the error's class decides what follows.
    Failed(HandlerError),
    /// Not handled yet: it is to come again after a wait, as the attempt with this number. Nothing that was published
    /// leaves. For handlers of the framework's own, which know better than a policy when their turn is.
    Later {
        /// The number of the next attempt.
        attempt: u32,
        /// How long to wait.
        wait: Duration,
        /// A word on why, for the ledger.
        reason: &'static str,
    },
}

/// An answer that is serialized only if somebody waits for it. A copy is the same answer.
#[derive(Clone)]
pub struct Answer {
    pub(crate) name: &'static str,
    pub(crate) payload: Arc<dyn Payload>,
    /// The same once more if the answer says no.
    pub(crate) refusal: Option<Arc<Refusal>>,
}

impl Answer {
    /// The answer `reply`.
    #[must_use]
    pub fn new<R: Reply>(reply: R) -> Self {
        Self { name: R::INFO.name, payload: Arc::new(reply), refusal: None }
    }

    /// The answer "no" of a handler that succeeded in finding that out: what it published leaves.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        let refusal = Arc::new(refusal);
        let payload: Arc<dyn Payload> = refusal.clone();
        Self { name: ERROR_REPLY, payload, refusal: Some(refusal) }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.name).finish()
    }
}

/// What a handler of message `M` may return: nothing, `Result`, `Result<Reply>`, `Result<Reply, E>`,
/// where `E` is any error and `Reply` is the answer that `M` names; or `Result<Result<Reply, Refusal>, E>`.
///
/// The last is for a "no" that others shall hear of, too: an `Err` of its own publishes nothing, `Ok(Err(refusal))`
/// answers the caller with the refusal and publishes what the handler has published.
#[diagnostic::on_unimplemented(
    message = "a handler of `{M}` cannot return `{Self}`",
    label = "not a result that a handler of `{M}` may return",
    note = "return nothing, `Result`, or `Result<Reply, E>` with the reply named in `#[message(.., reply = ..)]` and any error type `E`"
)]
pub trait IntoOutcome<M> {
    /// The meaning of the value.
    fn into_outcome(self) -> Outcome;
}

#[diagnostic::do_not_recommend]
impl<M: Message> IntoOutcome<M> for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

#[diagnostic::do_not_recommend]
impl<M: Message, E: Into<Box<dyn StdError + Send + Sync>>> IntoOutcome<M> for Result<(), E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(()) => Outcome::Done,
            Err(error) => failed(error.into()),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<M: Request<Reply = R>, R: Reply, E: Into<Box<dyn StdError + Send + Sync>>> IntoOutcome<M>
    for Result<R, E>
{
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(reply) => Outcome::Answered(Answer::new(reply)),
            Err(error) => failed(error.into()),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<M: Request<Reply = R>, R: Reply, E: Into<Box<dyn StdError + Send + Sync>>> IntoOutcome<M>
    for Result<Result<R, Refusal>, E>
{
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(Ok(reply)) => Outcome::Answered(Answer::new(reply)),
            Ok(Err(refusal)) => Outcome::Answered(Answer::refuse(refusal)),
            Err(error) => failed(error.into()),
        }
    }
}

#[cold]
fn failed(error: Box<dyn StdError + Send + Sync>) -> Outcome {
    Outcome::Failed(HandlerError::from_boxed(error))
}
