//! What came of a delivery, for whoever settles it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cache::Caching;
use super::routes::Route;
use crate::contract::Text;
use crate::handler::{HandlerError, Outcome};
use crate::publish::Outbox;

/// What came of a delivery.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handled {
    /// What the handler returned, or why it could not be called.
    pub outcome: Outcome,
    /// The handler, if one was found.
    pub route: Option<Arc<Route>>,
    /// What it published, and the message that it handled; nothing if the envelope was unreadable.
    pub outbox: Option<Arc<Outbox>>,
    /// Where an answer goes.
    pub reply_to: Option<Text>,
    /// Why the fallback was called instead of the handler, if it was.
    pub instead_of: Option<HandlerError>,
    /// When the call began, if there was one.
    pub began: Option<Instant>,
    /// What the reply cache has to do with it. Dropped, the answer is not kept.
    pub(crate) caching: Caching,
}

/// Whether a delivery was handled.
#[derive(Debug)]
#[non_exhaustive]
pub enum Dispatched {
    /// A handler, its fallback or nobody could take it.
    Handled(Handled),
    /// Nothing was called: the consumer was halted first.
    Left,
    /// Nothing was called: the handler's limits made it wait too long. It is to come again after this time.
    Late(Duration),
}

impl Handled {
    /// What came of a delivery without a call.
    pub(super) const fn uncalled(
        outcome: Outcome,
        route: Option<Arc<Route>>,
        outbox: Option<Arc<Outbox>>,
        reply_to: Option<Text>,
    ) -> Self {
        let (instead_of, began, caching) = (None, None, Caching::Not);
        Self { outcome, route, outbox, reply_to, instead_of, began, caching }
    }
}
