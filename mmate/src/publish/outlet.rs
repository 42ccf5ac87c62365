//! The way out: bytes to the transport, what became of them to the ledger.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::coop::{Unconstrained, unconstrained};

use super::publisher::Published;
use crate::observability::{Account, Fate, Ledger};
use crate::transport::{Outgoing, PublishError, PublishErrorKind, Transport};

/// What all publishers of an app publish through.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) ledger: Ledger,
}

/// A message that the transport has taken over, and that leaves once it is polled.
pub(crate) struct Departure<'a> {
    account: &'a Account,
    sending: Unconstrained<BoxFuture<'a, Result<(), PublishError>>>,
}

impl Outlet {
    /// Gives finished bytes to the transport.
    ///
    /// Not an `async fn`, like all ways that a message takes: each would keep a place for the message in
    /// its future, beside the one that the transport has for it.
    pub(super) fn deliver(
        &self,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<Published, PublishError>> + Send + '_ {
        let id = outgoing.id();
        let Departure { account, sending } = self.depart(outgoing);
        async move {
            let pending = account.begin(&id);
            let sent = sending.await;
            // Only now, that the broker has answered: what is counted as confirmed is on the broker. Crash
            // window: confirmed and not counted; whoever published has not been told either.
            pending.end(fate_after(&sent));
            sent?;
            Ok(Published { id })
        }
    }

    /// Gives a message to the transport; it is sent when somebody waits for it.
    pub(super) fn depart(&self, outgoing: Outgoing) -> Departure<'_> {
        let account = self.account(&outgoing);
        Departure { account, sending: self.forward(outgoing) }
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

    fn account(&self, outgoing: &Outgoing) -> &Account {
        self.ledger.of_type(outgoing.properties.message_type.as_deref().unwrap_or_default())
    }
}

impl Departure<'_> {
    /// Sends the message with this id, and waits for the broker's confirm or for `proof` that the broker has it,
    /// whichever comes first.
    pub(crate) async fn until<T>(
        self,
        id: &str,
        proof: impl Future<Output = T>,
    ) -> Result<Option<T>, PublishError> {
        let Self { account, sending } = self;
        let pending = account.begin(id);
        tokio::select! {
            biased;
            proof = proof => {
                pending.end(Fate::Confirmed);
                Ok(Some(proof))
            }
            sent = sending => {
                pending.end(fate_after(&sent));
                sent.map(|()| None)
            }
        }
    }
}

impl fmt::Debug for Departure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").finish_non_exhaustive()
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
