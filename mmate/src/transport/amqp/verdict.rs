//! One message's way from its frames to its verdict: what the library wakes, and what the caller waits for.
//!
//! The library's thread says only that there is news of a number. Whoever publishes is woken by it at once and looks
//! itself, at all the news that there is; no task stands between. What is `unhurried` wakes nobody: its news wait
//! until somebody looks, at the latest the lane's own task.

use std::future::Future;
use std::pin::Pin;
#[cfg(not(test))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(test)]
use shuttle::sync::atomic::{AtomicBool, Ordering};
#[cfg(test)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// What became of a message on a channel.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The broker has it.
    Confirmed,
    /// No queue takes it.
    Returned(String),
    /// The broker refused it.
    Nacked,
    /// The channel ended first; whether the message arrived is not known.
    Failed(lapin::Error),
}

/// What looks at the news of a channel and settles whatever is to be settled.
pub(super) trait Look {
    /// Looks. `own` belongs to whoever looks, and need not be woken.
    fn look(&self, own: Option<&Ticket>);
}

/// The numbers of which the library has news, in that order.
#[derive(Default)]
pub(super) struct News {
    numbers: Mutex<Vec<u64>>,
    /// Whether there are any, for those who only ask.
    is_some: AtomicBool,
    /// Wakes the lane's own task, which looks when nobody else is sure to.
    pub(super) keeper: Notify,
}

impl News {
    fn add(&self, number: u64) {
        let mut numbers = lock(&self.numbers);
        numbers.push(number);
        self.is_some.store(true, Ordering::Release);
    }

    /// True if there are any. Whoever adds some right now wakes somebody after it.
    pub(super) fn is_some(&self) -> bool {
        self.is_some.load(Ordering::Acquire)
    }

    /// Moves all that there are into `taken`, which is empty; false if there are none.
    pub(super) fn take(&self, taken: &mut Vec<u64>) -> bool {
        let mut numbers = lock(&self.numbers);
        std::mem::swap(&mut *numbers, taken);
        self.is_some.store(false, Ordering::Release);
        !taken.is_empty()
    }
}

/// What the library wakes for one message, and where its verdict is left.
pub(super) struct Ticket {
    pub(super) number: u64,
    news: Arc<News>,
    unhurried: bool,
    state: Mutex<State>,
}

enum State {
    /// With the caller, once it has waited.
    Open(Option<Waker>),
    Settled(Verdict),
    /// The caller has its verdict, or has gone.
    Over,
}

impl Ticket {
    pub(super) fn new(number: u64, news: &Arc<News>, unhurried: bool) -> Arc<Self> {
        let state = Mutex::new(State::Open(None));
        Arc::new(Self { number, news: Arc::clone(news), unhurried, state })
    }

    /// Leaves the verdict for the caller. Gives the waker of one that is to be told: not of an unhurried one whose
    /// message has arrived, since it waits for something else.
    pub(super) fn settle(&self, verdict: Verdict) -> Option<Waker> {
        let is_news = !self.unhurried || !matches!(verdict, Verdict::Confirmed);
        let mut state = lock(&self.state);
        let State::Open(caller) = &mut *state else { return None };
        let caller = caller.take();
        *state = State::Settled(verdict);
        caller.filter(|_| is_news)
    }

    /// The caller stops to wait, with its verdict or without.
    fn take(&self) -> Option<Verdict> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Over) {
            State::Settled(verdict) => Some(verdict),
            open => {
                *state = open;
                None
            }
        }
    }

    /// The waker of a caller that waits in a hurry.
    fn caller(&self) -> Option<Waker> {
        match &mut *lock(&self.state) {
            State::Open(caller) if !self.unhurried => caller.take(),
            _ => None,
        }
    }
}

/// The library wakes while it holds a lock of its own. So nothing of the library is asked here, and no lock is taken
/// under which somebody asks it.
impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.news.add(self.number);
        match self.caller() {
            Some(caller) => caller.wake(),
            None => self.news.keeper.notify_one(),
        }
    }
}

/// A message that was handed over: resolves with its verdict. Whoever drops it does not want to know.
pub(super) struct Submitted<'a, L: Look> {
    lane: &'a L,
    ticket: Arc<Ticket>,
}

impl<'a, L: Look> Submitted<'a, L> {
    pub(super) const fn new(lane: &'a L, ticket: Arc<Ticket>) -> Self {
        Self { lane, ticket }
    }

    /// Leaves word whom to wake, unless the verdict is there.
    fn leave_word(&self, cx: &Context<'_>) -> Option<Verdict> {
        let mut state = lock(&self.ticket.state);
        match &mut *state {
            State::Open(caller) => {
                if !caller.as_ref().is_some_and(|caller| caller.will_wake(cx.waker())) {
                    *caller = Some(cx.waker().clone());
                }
                None
            }
            _ => {
                drop(state);
                self.ticket.take()
            }
        }
    }
}

impl<L: Look> Future for Submitted<'_, L> {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        // Word is left first: news that come after the look wake.
        if let Some(verdict) = self.leave_word(cx) {
            return Poll::Ready(verdict);
        }
        self.lane.look(Some(&self.ticket));
        self.ticket.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<L: Look> Drop for Submitted<'_, L> {
    fn drop(&mut self) {
        let open = matches!(*lock(&self.ticket.state), State::Open(_));
        if open && self.ticket.unhurried {
            // Its news have waited for a look, and with them the place that it takes.
            self.lane.look(Some(&self.ticket));
        }
        *lock(&self.ticket.state) = State::Over;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
