//! The way out: bytes to the transport, what became of them to the ledger.

use std::future::Future;
use std::sync::Arc;

use tokio::task::unconstrained;

use super::publisher::Published;
use crate::observability::{Account, Fate, Ledger};
use crate::transport::{Outgoing, PublishError, PublishErrorKind, Transport};

/// What all publishers of an app publish through.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) ledger: Ledger,
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
        let id = outgoing.id().to_owned();
        let account = self.account(&outgoing);
        let sending = self.forward(outgoing);
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

    /// The same for the message with this id, until `proof` shows that the broker has it: then its confirm
    /// is not waited for.
    pub(super) fn deliver_until<T>(
        &self,
        mut outgoing: Outgoing,
        id: &str,
        proof: impl Future<Output = T>,
    ) -> impl Future<Output = Result<Option<T>, PublishError>> {
        outgoing.unhurried = true;
        let account = self.account(&outgoing);
        let sending = self.forward(outgoing);
        async move {
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

    /// Gives a copy of a message to the transport, which is no publish of anybody's.
    pub(super) fn forward(
        &self,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + '_ {
        // Hundreds of publishes are polled in one task. Taken from that task's budget, most of them
        // would be woken for nothing; the wait for the broker gives others their turn anyway.
        unconstrained(self.transport.publish(outgoing))
    }

    fn account(&self, outgoing: &Outgoing) -> &Account {
        self.ledger.of_type(outgoing.properties.message_type.as_deref().unwrap_or_default())
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
