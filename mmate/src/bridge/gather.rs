//! One question to many: scatter and gather.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::ask::{AskOptions, Asking};
use super::error::{AskError, AskErrorKind, Asked};
use super::reply;
use super::request::{Bridge, Call, Letter, Notes, Ready};
use crate::contract::headers::names;
use crate::contract::{HeaderValue, Message, Query, Refusal, Text};
use crate::publish::IntoDuration;
use crate::transport::{Delivery, PublishErrorKind};

/// How many replies wait to be taken; what comes meanwhile is dropped, and counted as late.
const ROOM: usize = 1_000;

/// A question to everybody who answers its type; awaiting it asks and gathers.
#[must_use = "nothing is asked until it is awaited"]
pub struct Gather<'a, R> {
    options: AskOptions,
    count: Count,
    /// Knows the question, whose type stands nowhere here for the reason of [`Ask`](super::Ask).
    run: Box<dyn FnOnce(AskOptions, Count) -> Asking<'a, Gathered<R>> + Send + 'a>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    min: usize,
    max: usize,
}

/// What was gathered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gathered<R> {
    /// The replies, in the order in which they came; one of each responder.
    pub replies: Vec<Gotten<R>>,
    /// Those who answered, and said no.
    pub refusals: Vec<Gotten<Refusal>>,
    /// Answers that could not be read, or were of another type; each is logged.
    pub unreadable: usize,
    /// Answers that were dropped because their responder had answered before.
    pub duplicates: usize,
}

/// An answer, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gotten<T> {
    /// The queue of a responder of ours; the service's name as a foreign one gives it.
    pub responder: String,
    /// What it answered.
    pub answer: T,
}

impl<R> Gathered<R> {
    /// The replies without those who gave them.
    pub fn into_replies(self) -> impl Iterator<Item = R> {
        self.replies.into_iter().map(|gotten| gotten.answer)
    }
}

impl Bridge {
    /// Asks everybody who answers this query, and gathers the replies until the time is over.
    ///
    /// ```
    /// # use mmate::prelude::*;
    /// # #[message(query, reply = Offer)] struct AskOffers { product: String }
    /// # #[message(reply)] struct Offer { cents: u32 }
    /// # async fn example(bridge: &Bridge) -> Result<(), AskError> {
    /// let offers = bridge.gather(AskOffers { product: "tea".into() }).min(3).within("5s").await?;
    /// let best = offers.into_replies().map(|offer| offer.cents).min();
    /// # Ok(()) }
    /// ```
    ///
    /// Each service that handles the query answers once; its replicas share a queue. With
    /// `#[handler(broadcast)]` each replica answers. A second answer of one responder is dropped.
    ///
    /// # Errors
    /// [`AskErrorKind::TooFew`] if fewer replies came than [`Gather::min`]; else as [`Bridge::ask`].
    pub fn gather<M: Query>(&self, query: M) -> Gather<'_, M::Reply> {
        let run = move |options, count| -> Asking<'_, Gathered<M::Reply>> {
            Box::pin(gather(self, query, options, count))
        };
        let count = Count { min: 1, max: usize::MAX };
        Gather { options: AskOptions::default(), count, run: Box::new(run) }
    }
}

impl<R> Gather<'_, R> {
    /// How many replies are needed, 1 if not said. With 0 it is no error that nobody answers.
    pub const fn min(mut self, replies: usize) -> Self {
        self.count.min = replies;
        self
    }

    /// Ends as soon as so many replies are there, instead of when the time is over.
    pub const fn max(mut self, replies: usize) -> Self {
        self.count.max = replies;
        self
    }

    /// How long to gather, instead of `bridge.timeout` (30 s by default): a `Duration`, or text like `"5s"`.
    pub fn within(mut self, time: impl IntoDuration) -> Self {
        self.options.set_timeout(time.into_duration());
        self
    }

    /// Adds a header: text, a number or a boolean.
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<HeaderValue>) -> Self {
        self.options.publish().set_header(name.into(), value.into());
        self
    }

    /// Sets the correlation id instead of inheriting or making one. At most 255 bytes.
    pub fn correlation_id(mut self, id: impl Into<Text>) -> Self {
        self.options.publish().correlation_id = Some(id.into());
        self
    }
}

async fn gather<M: Query>(
    bridge: &Bridge,
    query: M,
    mut options: AskOptions,
    count: Count,
) -> Result<Gathered<M::Reply>, AskError> {
    let call = bridge.call(M::INFO, &mut options);
    let ready = bridge.prepare(&call).await?;
    let notes = Notes { deadline: true, near: false, flag: Some(names::GATHER) };
    let mut letter = bridge.write(&call, &query, options, &ready, notes)?;
    let mut gathering = Gathering::new(&call.asked, reply::read::<M::Reply>);
    let expected = <M::Reply as Message>::INFO;
    let entry = letter.entry(&call.asked, Some(expected));
    let mut ticket = bridge.enter_many(&call, &entry, ROOM)?;
    let enough = |delivery| gathering.add(&delivery) >= count.max;
    let sent = gather_into(&call, &mut letter, &mut ticket.replies, enough);
    sent.await?;
    gathering.finish(bridge, (&call, &ready), count.min)
}

impl<'a, R> IntoFuture for Gather<'a, R> {
    type Output = Result<Gathered<R>, AskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mut options, count, run } = self;
        if count.max < count.min || count.max == 0 {
            let Count { min, max } = count;
            options.publish().note(format!("it gathers at most {max} replies and needs {min}"));
        }
        run(options, count)
    }
}

/// Sends the question, and gives every answer to `enough` until it says so or the time is over.
async fn gather_into(
    call: &Call,
    letter: &mut Letter<'_>,
    replies: &mut mpsc::Receiver<Delivery>,
    mut enough: impl FnMut(Delivery) -> bool + Send,
) -> Result<(), AskError> {
    let gathering = async {
        // The first answer proves that the broker has had the question; others come meanwhile.
        let first = match letter.departure.until(replies.recv()).await {
            Ok(first) => first.flatten(),
            Err(error) if error.kind() == PublishErrorKind::Unknown => None,
            Err(error) => return Err(call.asked.not_published(error)),
        };
        if first.is_some_and(&mut enough) {
            return Ok(());
        }
        while let Some(reply) = replies.recv().await {
            if enough(reply) {
                break;
            }
        }
        Ok(())
    };
    // The end of the time is how it usually ends.
    timeout_at(call.deadline, gathering).await.unwrap_or(Ok(()))
}

/// Answers as they come.
struct Gathering<'a, R> {
    asked: &'a Asked,
    read: fn(&Asked, &[u8]) -> Result<R, AskError>,
    seen: BTreeSet<String>,
    gathered: Gathered<R>,
}

impl<'a, R> Gathering<'a, R> {
    fn new(asked: &'a Asked, read: fn(&Asked, &[u8]) -> Result<R, AskError>) -> Self {
        let gathered =
            Gathered { replies: Vec::new(), refusals: Vec::new(), unreadable: 0, duplicates: 0 };
        Self { asked, read, seen: BTreeSet::new(), gathered }
    }

    /// Adds an answer; gives how many replies there are.
    fn add(&mut self, delivery: &Delivery) -> usize {
        let responder = responder(delivery);
        if !self.seen.insert(responder.clone()) {
            self.gathered.duplicates += 1;
            return self.gathered.replies.len();
        }
        match (self.read)(self.asked, &delivery.body) {
            Ok(answer) => self.gathered.replies.push(Gotten { responder, answer }),
            Err(error) => match error.refusal().cloned() {
                Some(answer) => self.gathered.refusals.push(Gotten { responder, answer }),
                None => {
                    tracing::warn!(responder, %error, "an answer to a question to many was dropped");
                    self.gathered.unreadable += 1;
                }
            },
        }
        self.gathered.replies.len()
    }

    fn finish(
        self,
        bridge: &Bridge,
        (call, ready): (&Call, &Ready<'_>),
        min: usize,
    ) -> Result<Gathered<R>, AskError> {
        let got = self.gathered.replies.len();
        if got >= min {
            return Ok(self.gathered);
        }
        let Gathered { refusals, unreadable, .. } = &self.gathered;
        let text = format!(
            "{got} replies came, and at least {min} are needed; {} answered with a refusal, {unreadable} could not be read",
            refusals.len()
        );
        match bridge.loss_since(ready) {
            Some(loss) => Err(call
                .asked
                .error(AskErrorKind::Unknown, format!("{text}; some may be lost: {loss}"))),
            None => Err(call.asked.error(AskErrorKind::TooFew, text)),
        }
    }
}

/// Who answered: our responders say it where they are asked to; of others the service's name is known at
/// most, and without it every answer counts as somebody's own.
fn responder(delivery: &Delivery) -> String {
    let properties = &delivery.properties;
    let named = properties.headers.text(names::RESPONDER).or(properties.app_id.as_deref());
    let named = named.or(properties.message_id.as_deref());
    named.map_or_else(|| format!("#{}", delivery.tag.0), str::to_owned)
}

impl<R> fmt::Debug for Gather<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("options", &self.options)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
