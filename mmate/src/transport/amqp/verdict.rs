//! One message's way from its frames to its verdict: what the library wakes, and what the caller waits for.
//!
//! The library's thread says only that there is news, and does so twice: when frames were written, and when the confirm
//! of a number is there. The first is for the lane's own task, which asks the library for the second, for as many
//! messages at a time as were written together; of which of them it speaks need not be said, since the library writes
//! in order. The second wakes whoever publishes at once, who looks itself, at all the news that there is; no task stands
//! between. What is `unhurried` wakes nobody: its news wait until somebody looks, at the latest the lane's own task.
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

    /// One that is unhurried has no caller any more. Its news, and with them the place that it takes, wait for a look.
    fn abandon(&self, own: &Ticket);
}

/// What the library has news of.
#[derive(Default)]
pub(super) struct News {
    /// The messages whose confirms are there, in that order.
    numbers: Mutex<Vec<u64>>,
    /// Whether there are any, for those who only ask.
    has_numbers: AtomicBool,
    /// Whether frames were written.
    is_written: AtomicBool,
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
        self.has_numbers.store(true, Ordering::Release);
    }

    /// True if there is any. Whoever adds some right now wakes somebody after it.
    pub(super) fn is_some(&self) -> bool {
        self.has_numbers.load(Ordering::Acquire) || self.is_written.load(Ordering::Acquire)
    }

    /// Moves all numbers into `taken`, which is empty.
    pub(super) fn take(&self, taken: &mut Vec<u64>) {
        let mut numbers = lock(&self.numbers);
        std::mem::swap(&mut *numbers, taken);
        self.has_numbers.store(false, Ordering::Release);
    }

    /// True if frames were written since this was asked before.
    pub(super) fn take_written(&self) -> bool {
        self.is_written.load(Ordering::Acquire) && self.is_written.swap(false, Ordering::AcqRel)
    }
}

/// What the library wakes when frames were written.
pub(super) struct Written {
    hurried: Waker,
    unhurried: Waker,
}

impl Written {
    /// One that leaves word here.
    pub(super) fn new(news: &Arc<News>) -> Self {
        let waker =
            |unhurried| Waker::from(Arc::new(OnWritten { news: Arc::clone(news), unhurried }));
        Self { hurried: waker(false), unhurried: waker(true) }
    }

    /// The waker for a message that is `unhurried`, or for one that is not.
    pub(super) const fn waker(&self, unhurried: bool) -> &Waker {
        if unhurried { &self.unhurried } else { &self.hurried }
    }
}

struct OnWritten {
    news: Arc<News>,
    unhurried: bool,
}

impl Wake for OnWritten {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.news.is_written.store(true, Ordering::Release);
        let whom = if self.unhurried { &self.news.later } else { &self.news.now };
        whom.notify_one();
    }
}

/// A message for one attempt: what the library wakes, and where the verdict is left. One block of memory for all that
/// is known of it, since hundreds are made and given back at a time, in different threads.
///
/// What the library's thread touches comes first, beside the block's counters: of the message itself it needs nothing.
#[repr(C)]
pub(super) struct Ticket {
    state: Mutex<State>,
    seat: OnceLock<Seat>,
    unhurried: bool,
    pub(super) outgoing: Outgoing,
}

/// Its place among those that a lane has sent.
struct Seat {
    number: u64,
    news: Arc<News>,
}

enum State {
    /// With the caller, once it has waited.
    Open(Option<Waker>),
    Settled(Verdict),
    /// The caller has its verdict, or has gone.
    Over,
}

impl Ticket {
    /// A ticket for a message that no lane has sent yet.
    pub(super) fn new(outgoing: Outgoing) -> Arc<Self> {
        let state = Mutex::new(State::Open(None));
        Arc::new(Self { state, seat: OnceLock::new(), unhurried: outgoing.unhurried, outgoing })
    }

    /// Gives it its place: before the library may wake it, and only once.
    pub(super) fn sit(&self, number: u64, news: &Arc<News>) {
        let seat = Seat { number, news: Arc::clone(news) };
        assert!(self.seat.set(seat).is_ok(), "invariant: a ticket is for one attempt");
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

    /// Who is to look at its confirm, if not the lane's own task.
    ///
    /// Should the library wake before it is there, they look for nothing, and the library wakes again.
    fn looker(&self) -> Option<Waker> {
        if self.unhurried {
            return None;
        }
        let State::Open(caller) = &mut *lock(&self.state) else { return None };
        caller.take()
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
        match self.looker() {
            Some(caller) => caller.wake(),
            None => news.later.notify_one(),
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
        if self.ticket.unhurried {
            // Nobody waits for it, so that a later look at many does.
            return Poll::Pending;
        }
        self.lane.look(Some(self.ticket));
        self.ticket.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<L: Look> Drop for Submitted<'_, L> {
    fn drop(&mut self) {
        let open = matches!(*lock(&self.ticket.state), State::Open(_));
        if open && self.ticket.unhurried {
            self.lane.abandon(self.ticket);
        }
        *lock(&self.ticket.state) = State::Over;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
