//! One message's way from its frames to its verdict: what the library wakes, and what the caller waits for.
//!
//! The library's thread says only that there is news of a number, and does so twice: when the frames were written, and
//! when the confirm is there. The first is for the lane's own task, which asks the library for the second, for as many
//! messages at a time as were written together. The second wakes whoever publishes at once, who looks itself, at all
//! the news that there is; no task stands between. What is `unhurried` wakes nobody: its news wait until somebody
//! looks, at the latest the lane's own task.
//!
//! Whoever waits has no timer of its own: the lane's task tells those whose time is over. A timer per message would
//! be entered and removed for each, under the one lock that the runtime has for all of them.

use std::future::Future;
use std::pin::Pin;
#[cfg(not(test))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(test)]
use shuttle::sync::atomic::{AtomicBool, Ordering};
#[cfg(test)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::transport::Outgoing;

/// What became of a message on a channel.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The broker has it.
    Confirmed,
    /// No queue takes it.
    Returned(Box<str>),
    /// The broker refused it.
    Nacked,
    /// The channel ended first; whether the message arrived is not known.
    Failed(Box<lapin::Error>),
    /// The time for it is over, and the broker has not said a word.
    Overdue,
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
    /// Wakes the lane's own task, which looks at once.
    pub(super) now: Notify,
    /// Wakes the lane's own task, which looks after a while, unless somebody else has.
    pub(super) later: Notify,
    /// Wakes the lane's own task, which sends what was put aside.
    pub(super) aside: Notify,
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

/// A message for one attempt: what the library wakes, and where the verdict is left. One block of memory for all that
/// is known of it, since hundreds are made and given back at a time, in different threads.
pub(super) struct Ticket {
    pub(super) outgoing: Outgoing,
    seat: OnceLock<Seat>,
    state: Mutex<State>,
}

/// Its place among those that a lane has sent.
struct Seat {
    number: u64,
    news: Arc<News>,
}

enum State {
    Open {
        /// Whether there was news of it before.
        written: bool,
        /// Once it has waited.
        caller: Option<Waker>,
    },
    Settled(Verdict),
    /// The caller has its verdict, or has gone.
    Over,
}

/// Who is woken by news.
enum Looker {
    Caller(Waker),
    KeeperNow,
    KeeperLater,
}

impl Ticket {
    /// A ticket for a message that no lane has sent yet.
    pub(super) fn new(outgoing: Outgoing) -> Arc<Self> {
        let state = Mutex::new(State::Open { written: false, caller: None });
        Arc::new(Self { outgoing, seat: OnceLock::new(), state })
    }

    /// Gives it its place: before the library may wake it, and only once.
    pub(super) fn sit(&self, number: u64, news: &Arc<News>) {
        let seat = Seat { number, news: Arc::clone(news) };
        assert!(self.seat.set(seat).is_ok(), "invariant: a ticket is for one attempt");
    }

    /// Leaves the verdict for the caller. Gives the waker of one that is to be told: not of an unhurried one whose
    /// message has arrived, since it waits for something else.
    pub(super) fn settle(&self, verdict: Verdict) -> Option<Waker> {
        let is_news = !self.outgoing.unhurried || !matches!(verdict, Verdict::Confirmed);
        let mut state = lock(&self.state);
        let State::Open { caller, .. } = &mut *state else { return None };
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

    /// Who is to look at news of it.
    ///
    /// Should the first be more than that the frames were written, or the second less, then the lane's task or the
    /// caller looks for nothing, and the library wakes again: nothing depends on what is news but the time it takes.
    fn who_looks(&self) -> Looker {
        match &mut *lock(&self.state) {
            State::Open { .. } if self.outgoing.unhurried => Looker::KeeperLater,
            State::Open { written: written @ false, .. } => {
                *written = true;
                Looker::KeeperNow
            }
            State::Open { caller, .. } => caller.take().map_or(Looker::KeeperLater, Looker::Caller),
            State::Settled(_) | State::Over => Looker::KeeperLater,
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
        let Some(Seat { number, news }) = self.seat.get() else { return };
        news.add(*number);
        match self.who_looks() {
            Looker::Caller(caller) => caller.wake(),
            Looker::KeeperNow => news.now.notify_one(),
            Looker::KeeperLater => news.later.notify_one(),
        }
    }
}

/// A message that was handed over: resolves with its verdict. Whoever drops it does not want to know.
pub(super) struct Submitted<'a, L: Look> {
    lane: &'a L,
    ticket: &'a Ticket,
}

impl<'a, L: Look> Submitted<'a, L> {
    pub(super) const fn new(lane: &'a L, ticket: &'a Ticket) -> Self {
        Self { lane, ticket }
    }

    /// Leaves word whom to wake, unless the verdict is there.
    fn leave_word(&self, cx: &Context<'_>) -> Option<Verdict> {
        let mut state = lock(&self.ticket.state);
        match &mut *state {
            State::Open { caller, .. } => {
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
        self.lane.look(Some(self.ticket));
        self.ticket.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<L: Look> Drop for Submitted<'_, L> {
    fn drop(&mut self) {
        let open = matches!(*lock(&self.ticket.state), State::Open { .. });
        if open && self.ticket.outgoing.unhurried {
            // Its news have waited for a look, and with them the place that it takes.
            self.lane.look(Some(self.ticket));
        }
        *lock(&self.ticket.state) = State::Over;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
