//! Several messages with one wait.
//!
//! In: messages one after the other, and what encodes and sends one. Out: the result of each, in their order. The
//! [`Publisher`](super::Publisher) calls it.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::outbox::Outbox;
use super::publisher::Published;
use crate::transport::{Outgoing, PublishError, PublishErrorKind};

/// How many messages of one [`Publisher::publish_all`](super::Publisher::publish_all) wait for their confirm at a time.
pub const PUBLISH_WINDOW: usize = 256;

/// The messages that are left, and what became of the others.
struct Batch<I> {
    messages: I,
    /// One for each message that was taken; nothing while it waits for its confirm.
    results: Vec<Option<Result<Published, PublishError>>>,
}

/// Publishes all, each as soon as there is a place in the window, and waits for all.
///
/// Each is encoded when its turn comes: the broker works meanwhile, and a long batch is never in memory as a whole.
/// A place of the window takes one message after the other, in memory that is made once. It takes a message and sends it
/// in one step, and so they leave in their order.
pub(super) async fn publish_all<M, F: Future<Output = Result<Published, PublishError>>>(
    messages: impl Iterator<Item = M>,
    encode: impl Fn(M) -> Result<Outgoing, PublishError>,
    deliver: impl Fn(Outgoing) -> F,
) -> Result<Vec<Published>, BatchError> {
    let places = messages.size_hint().1.map_or(PUBLISH_WINDOW, |most| most.min(PUBLISH_WINDOW));
    let batch = Mutex::new(Batch { messages, results: Vec::new() });
    let place = || async {
        loop {
            let Some((at, message)) = lock(&batch).take() else { return };
            let result = match encode(message) {
                Ok(outgoing) => deliver(outgoing).await,
                Err(error) => Err(error),
            };
            lock(&batch).results[at] = Some(result);
        }
    };
    let window: FuturesUnordered<_> = (0..places).map(|_| place()).collect();
    window.collect::<()>().await;
    let Batch { results, .. } = batch.into_inner().unwrap_or_else(PoisonError::into_inner);
    BatchError::from_results(results.into_iter().flatten().collect())
}

impl<M, I: Iterator<Item = M>> Batch<I> {
    fn take(&mut self) -> Option<(usize, M)> {
        let message = self.messages.next()?;
        self.results.push(None);
        Some((self.results.len() - 1, message))
    }
}

fn lock<I>(batch: &Mutex<Batch<I>>) -> MutexGuard<'_, Batch<I>> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps all of them for the end of the handler, or none.
pub(super) fn keep_all(
    outbox: &Outbox,
    encoded: Vec<Result<Outgoing, PublishError>>,
) -> Result<Vec<Published>, BatchError> {
    if encoded.iter().any(Result::is_err) {
        let unkept = |outgoing: Outgoing| Published { id: outgoing.id() };
        return BatchError::from_results(
            encoded.into_iter().map(|result| result.map(unkept)).collect(),
        );
    }
    let messages: Vec<Outgoing> = encoded.into_iter().flatten().collect();
    let published: Vec<Published> =
        messages.iter().map(|outgoing| Published { id: outgoing.id() }).collect();
    match outbox.push(messages) {
        Ok(()) => Ok(published),
        Err(why) => BatchError::from_results(
            published
                .into_iter()
                .map(|published| {
                    Err(PublishError::new(PublishErrorKind::Closed, &*published.id, why))
                })
                .collect(),
        ),
    }
}

/// Some messages of a batch were not published.
#[derive(Debug)]
pub struct BatchError {
    /// The result of each message, in the order in which they were given.
    pub results: Vec<Result<Published, PublishError>>,
}

impl BatchError {
    fn from_results(results: Vec<Result<Published, PublishError>>) -> Result<Vec<Published>, Self> {
        if results.iter().any(Result::is_err) {
            return Err(Self { results });
        }
        Ok(results.into_iter().flatten().collect())
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.results.iter().filter(|result| result.is_err()).count();
        write!(f, "{failed} of {} messages were not published", self.results.len())?;
        match self.results.iter().find_map(|result| result.as_ref().err()) {
            Some(first) => write!(f, "; the first: {first}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BatchError {}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::contract::address::Address;
    use crate::transport::Properties;

    const COUNT: u32 = 3 * PUBLISH_WINDOW as u32;

    fn outgoing(number: u32) -> Result<Outgoing, PublishError> {
        if number.is_multiple_of(100) {
            let id = number.to_string();
            return Err(PublishError::new(PublishErrorKind::Invalid, &id, "a round number"));
        }
        let properties =
            Properties { message_id: Some(number.to_string().into()), ..Properties::default() };
        Ok(Outgoing::new(Address::queue("q"), properties, ""))
    }

    #[tokio::test]
    async fn all_leave_in_their_order_however_long_each_takes_and_so_are_their_results() {
        let (sent, waiting, most) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
        let deliver = async |outgoing: Outgoing| {
            let id = outgoing.id();
            let number: u32 = id.parse().unwrap();
            sent.borrow_mut().push(number);
            waiting.set(waiting.get() + 1);
            most.set(most.get().max(waiting.get()));
            // Some are confirmed at once, others while hundreds that came later are.
            for _ in 0..number * 7 % 11 {
                tokio::task::yield_now().await;
            }
            waiting.set(waiting.get() - 1);
            Ok(Published { id })
        };
        let BatchError { results } = publish_all(0..COUNT, outgoing, deliver).await.unwrap_err();
        let good = |number: &u32| !number.is_multiple_of(100);
        assert_eq!(*sent.borrow(), (0..COUNT).filter(good).collect::<Vec<_>>());
        assert_eq!((waiting.get(), most.get()), (0, PUBLISH_WINDOW));
        let told: Vec<String> = results
            .iter()
            .map(|result| match result {
                Ok(published) => published.id.to_string(),
                Err(error) => error.id().to_owned(),
            })
            .collect();
        assert_eq!(told, (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!(
            results.iter().zip(0..COUNT).all(|(result, number)| result.is_ok() == good(&number))
        );
    }

    #[tokio::test]
    async fn an_iterator_that_does_not_say_how_long_it_is_ends_too() {
        let deliver = async |outgoing: Outgoing| Ok(Published { id: outgoing.id() });
        let mut left = 1..3;
        let unsized_hint = std::iter::from_fn(|| left.next());
        let published = publish_all(unsized_hint, outgoing, deliver).await.unwrap();
        assert_eq!(published.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(publish_all(1..1, outgoing, deliver).await.unwrap(), []);
    }
}
