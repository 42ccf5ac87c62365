//! A command whose sender wants to know how it ended: acknowledgement tracking.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::ask::{AskOptions, Asking};
use super::error::{AskError, AskErrorKind, Asked};
use super::request::{Bridge, Notes};
use crate::contract::acknowledgement::{ACKNOWLEDGEMENT, Acknowledgement, ProcessingOutcome};
use crate::contract::envelope::{self, Glance};
use crate::contract::headers::names;
use crate::contract::{Command, Message, Refusal};
use crate::publish::{IntoDuration, Publish};

/// A command that is sent and waited for; awaiting it does both.
#[must_use = "nothing is sent until it is awaited"]
pub struct Acknowledged<'a> {
    options: AskOptions,
    /// Knows the command, whose type stands nowhere here for the reason of [`Ask`](super::Ask).
    run: Box<dyn FnOnce(AskOptions) -> Asking<'a, Acknowledgement> + Send + 'a>,
}

impl<'a, M: Message> Publish<'a, M> {
    /// Sends the command and waits, as long as said, for a word on how it ended: a `Duration`, or text
    /// like `"30s"`. The word comes when the last attempt is over, so retries count.
    ///
    /// ```
    /// # use mmate::prelude::*;
    /// # #[message(command, service = "shop")] struct ShipOrder { order: String }
    /// # async fn example(publisher: &Publisher) -> Result<(), AskError> {
    /// let done = publisher.send(ShipOrder { order: "A1".into() }).acknowledged("30s").await?;
    /// if let Some(refusal) = done.refusal() {
    ///     println!("not shipped: {refusal}, after {:?}", done.processing_time);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Unlike a request the command has no deadline: it is handled however late its turn comes, also if
    /// nobody waits for the word any more.
    ///
    /// # Errors
    /// [`AskError`], if no word came: the kinds are those of [`Bridge::ask`], but [`AskErrorKind::Refused`].
    /// Inside a handler what is sent leaves only when the handler succeeds, so it cannot wait:
    /// [`AskErrorKind::NotSent`]; ask with a [`Bridge`] there.
    pub fn acknowledged(self, within: impl IntoDuration) -> Acknowledged<'a>
    where
        // Here and not above, where an event would have no such method and the compiler would not say why.
        M: Command,
    {
        let mut options = AskOptions::default();
        options.set_timeout(within.into_duration());
        let run = move |options| -> Asking<'a, Acknowledgement> { Box::pin(send(self, options)) };
        Acknowledged { options, run: Box::new(run) }
    }
}

async fn send<M: Command>(
    publish: Publish<'_, M>,
    options: AskOptions,
) -> Result<Acknowledgement, AskError> {
    let (publisher, message, mut own) = publish.into_parts();
    if let Some(mistake) = options.publish.and_then(|said| said.mistake) {
        own.note(mistake);
    }
    let mut options = AskOptions { publish: Some(Box::new(own)), timeout: options.timeout };
    let bridge = Bridge::of(publisher).map_err(|why| {
        let asked = Asked { request: M::INFO.name, id: "-".into() };
        asked.error(AskErrorKind::NotSent, why)
    })?;
    let call = bridge.call(M::INFO, &mut options);
    let ready = bridge.prepare(&call).await?;
    let notes = Notes { flag: Some(names::ACKNOWLEDGE), ..Notes::default() };
    let mut letter = bridge.write(&call, &message, options, &ready, notes)?;
    let reply = bridge.exchange(&call, &mut letter, &ready, None).await?;
    read(&call.asked, &reply)
}

impl<'a> IntoFuture for Acknowledged<'a> {
    type Output = Result<Acknowledgement, AskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self.options)
    }
}

impl fmt::Debug for Acknowledged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acknowledged").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Reads the word. A peer that knows no acknowledgements answers with its usual reply, which says as much.
fn read(asked: &Asked, reply: &[u8]) -> Result<Acknowledgement, AskError> {
    let Glance { message_type, payload } =
        envelope::glance(reply).map_err(|error| asked.bad_reply(error))?;
    if message_type == ACKNOWLEDGEMENT {
        return Acknowledgement::read(payload).map_err(|_| {
            asked.error(AskErrorKind::BadReply, "the acknowledgement does not say how it ended")
        });
    }
    let outcome = match Refusal::read(payload) {
        Some(refusal) => ProcessingOutcome::Rejected(refusal),
        None => ProcessingOutcome::Processed,
    };
    Ok(Acknowledgement::new(asked.id.to_string(), outcome))
}
