//! What the world remembers, and how it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bank::Accounts;
use super::carrier::Parcels;
use super::warehouse::Shelves;
use super::{Answer, Errand, Request};

/// The world. Cheap to clone: there is one.
#[derive(Clone, Debug)]
pub struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    latency: Duration,
    books: Mutex<Books>,
}

/// Everything that the world has on its books.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub shelves: Shelves,
    pub accounts: Accounts,
    pub parcels: Parcels,
    /// How often each errand was asked for, by what and key.
    calls: BTreeMap<(&'static str, String), u32>,
}

impl World {
    /// A world in the morning, which takes so long for everything.
    pub fn new(latency: Duration) -> Self {
        Self(Arc::new(Inner { latency, books: Mutex::default() }))
    }

    pub(super) fn shared(&self) -> Arc<Self> {
        Arc::new(self.clone())
    }

    /// Does what is asked, and answers, or does not.
    pub(super) async fn answer(&self, request: Request) -> Option<Answer> {
        // Half of it before and half of it after, so that who asks may be gone at either time.
        tokio::time::sleep(self.0.latency / 2).await;
        let answer = self.lock().act(request);
        tokio::time::sleep(self.0.latency / 2).await;
        answer
    }

    /// A copy of the books.
    pub fn books(&self) -> Books {
        self.lock().clone()
    }

    /// The bank opens the accounts again that were closed.
    pub fn reopen_accounts(&self) {
        self.lock().accounts.reopen();
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn act(&mut self, request: Request) -> Option<Answer> {
        let Request { key, order_id, what } = request;
        let call = self.calls.entry((what.name(), key.clone())).or_default();
        *call += 1;
        let call = *call;
        match what {
            Errand::Reserve { items } => Some(self.shelves.reserve(key, order_id, items)),
            Errand::Release => Some(self.shelves.release(key, order_id)),
            Errand::Charge { card, amount } => {
                self.accounts.charge(call, (key, order_id), card, amount)
            }
            Errand::Refund => Some(self.accounts.refund(key, order_id)),
            Errand::Ship { customer_id } => self.parcels.ship(key, order_id, &customer_id),
            Errand::CallBack => Some(self.parcels.call_back(key, order_id)),
            Errand::Write { customer_id } => Some(match customer_id.as_str() {
                "hedy" => Answer::Refused("the mailbox is full".to_owned()),
                _ => Answer::Done(key),
            }),
        }
    }

    /// How often the world was asked, and how many of these times for what it had been asked before.
    pub fn calls(&self) -> (u32, u32) {
        let repeated = self.calls.values().map(|calls| calls - 1).sum();
        (self.calls.values().sum(), repeated)
    }
}

impl Errand {
    const fn name(&self) -> &'static str {
        match self {
            Self::Reserve { .. } => "reserve",
            Self::Release => "release",
            Self::Charge { .. } => "charge",
            Self::Refund => "refund",
            Self::Ship { .. } => "ship",
            Self::CallBack => "call back",
            Self::Write { .. } => "write",
        }
    }
}
