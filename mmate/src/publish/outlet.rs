//! The way out: bytes to the transport, what became of them to the ledger.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::task::coop::{Unconstrained, unconstrained};

use super::publisher::Published;
use crate::contract::Text;
use crate::observability::{Account, Fate, Ledger, Note};
use crate::transport::{Outgoing, PublishError, PublishErrorKind, Transport};

/// What all publishers of an app publish through.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) ledger: Ledger,
}

/// A message that the transport has taken over: leaves once it is polled, and resolves when the broker has answered.
///
/// Written by hand, so that callers can keep it where they are, without a box.
#[must_use = "nothing is sent until it is polled"]
pub(crate) struct Departure<'a> {
    id: Text,
    account: &'a Account,
    /// Sent, and what became of it is not recorded.
    is_open: bool,
    /// Nothing once the broker has answered: what the transport keeps for the message is of no more use.
    sending: Option<Unconstrained<BoxFuture<'a, Result<(), PublishError>>>>,
}

impl Outlet {
    /// Gives a message to the transport.
    ///
    /// No `async fn`, like all ways that a message takes: each would keep a place for the message in its future, beside
    /// the one that the transport has for it.
    pub(super) fn depart(&self, outgoing: Outgoing) -> Departure<'_> {
        let account =
            self.ledger.of_type(outgoing.properties.message_type.as_deref().unwrap_or_default());
        let id = outgoing.id();
        Departure { id, account, is_open: false, sending: Some(self.forward(outgoing)) }
    }

    /// Gives a copy of a message to the transport, which is no publish of anybody's.
    pub(super) fn forward(
        &self,
        outgoing: Outgoing,
    ) -> Unconstrained<BoxFuture<'_, Result<(), PublishError>>> {
        // Hundreds of publishes are polled in one task. Taken from that task's budget, most of them
        // would be woken for nothing; the wait for the broker gives others their turn anyway.
        unconstrained(self.transport.publish(outgoing))
    }
}

impl Departure<'_> {
    /// Sends the message, and waits for the broker's confirm or for `proof` that the broker has it, whichever comes first.
    pub(crate) async fn until<T>(
        &mut self,
        proof: impl Future<Output = T>,
    ) -> Result<Option<T>, PublishError> {
        tokio::select! {
            biased;
            proof = proof => {
                self.end(Fate::Confirmed);
                Ok(Some(proof))
            }
            sent = &mut *self => sent.map(|_| None)
        }
    }

    fn end(&mut self, fate: Fate) {
        (self.is_open, self.sending) = (false, None);
        self.account.record(fate, Note::new(&self.id, 1));
    }
}

impl Future for Departure<'_> {
    type Output = Result<Published, PublishError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Never polled again once it has ended.
        let Some(sending) = &mut this.sending else { return Poll::Pending };
        // Before it leaves, so that it is on record even if the transport panics.
        this.is_open = true;
        let sent = ready!(Pin::new(sending).poll(cx));
        // Only now, that the broker has answered: what is counted as confirmed is on the broker. Crash
        // window: confirmed and not counted; whoever published has not been told either.
        this.end(fate_after(&sent));
        Poll::Ready(sent.map(|()| Published { id: std::mem::take(&mut this.id) }))
    }
}

impl Drop for Departure<'_> {
    /// Nobody waits any more for one that was sent: it may or may not arrive.
    fn drop(&mut self) {
        if self.is_open {
            self.account.record(Fate::Unknown, Note::new(&self.id, 1).because("given_up"));
        }
    }
}

impl fmt::Debug for Departure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").field("id", &self.id).finish_non_exhaustive()
    }
}

fn fate_after(sent: &Result<(), PublishError>) -> Fate {
    sent.as_ref().map_or_else(|error| fate_of(error.kind()), |()| Fate::Confirmed)
}

pub(super) const fn fate_of(kind: PublishErrorKind) -> Fate {
    match kind {
        PublishErrorKind::Unroutable | PublishErrorKind::NoExchange => Fate::Returned,
        PublishErrorKind::Refused => Fate::Refused,
        PublishErrorKind::Invalid | PublishErrorKind::TooLarge => Fate::Invalid,
        // A transport that was closed meanwhile may have sent it before.
        PublishErrorKind::Unknown | PublishErrorKind::Closed => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    use futures_util::future::{pending, ready};

    use super::*;

    fn departure<'a>(
        ledger: &'a Ledger,
        sending: impl Future<Output = Result<(), PublishError>> + Send + 'a,
    ) -> Departure<'a> {
        let account = ledger.of_type("Paid");
        let sending = Some(unconstrained(Box::pin(sending) as BoxFuture<'_, _>));
        Departure { id: "1".into(), account, is_open: false, sending }
    }

    fn sums(ledger: &Ledger) -> Vec<(Fate, Option<String>, u64)> {
        ledger.sums().into_iter().map(|sum| (sum.fate, sum.reason, sum.count)).collect()
    }

    #[test]
    fn what_was_sent_and_given_up_is_unknown_and_what_never_left_is_nothing() {
        let ledger = Ledger::default();
        drop(departure(&ledger, pending()));
        assert_eq!(sums(&ledger), []);
        let mut sent = departure(&ledger, pending());
        assert!((&mut sent).now_or_never().is_none());
        assert_eq!(sums(&ledger), []);
        drop(sent);
        assert_eq!(sums(&ledger), [(Fate::Unknown, Some("given_up".to_owned()), 1)]);
        let broken = departure(&ledger, async { panic!("a transport with a mistake") });
        let panicked = AssertUnwindSafe(broken).catch_unwind().now_or_never().unwrap();
        assert!(panicked.is_err());
        assert_eq!(sums(&ledger), [(Fate::Unknown, Some("given_up".to_owned()), 2)]);
    }

    #[test]
    fn what_the_broker_answered_for_or_something_else_proves_is_recorded_once() {
        let ledger = Ledger::default();
        let published = departure(&ledger, ready(Ok(()))).now_or_never().unwrap().unwrap();
        assert_eq!(published.id, "1");
        let mut asked = departure(&ledger, pending());
        let reply = asked.until(ready("a reply")).now_or_never().unwrap();
        assert_eq!(reply.unwrap(), Some("a reply"));
        let mut asked = departure(&ledger, ready(Ok(())));
        let confirmed = asked.until(pending::<()>()).now_or_never().unwrap();
        assert_eq!(confirmed.unwrap(), None);
        drop(asked);
        assert_eq!(sums(&ledger), [(Fate::Confirmed, None, 3)]);
    }
}
