//! Answers that are kept: of a query handler with `cache`, where the second equal query is answered without a
//! call; and of any handler with `idempotent`, where a message that was handled is not handled again.
//!
//! What is equal is decided in [`key`]. Three promises:
//!
//! - **Bounded.** At most `size` answers per handler and process; the one that was not asked for the longest makes room.
//!   An answer is given out for `ttl` after the handler gave it. What bounds the memory is `size` times
//!   (the handler's own reply and the query, which is not cached over [`KEY_BYTES_MAX`]): an answer that nobody asks for
//!   again stays until it is pushed out.
//! - **Single flight.** Of equal queries that are there at a time one calls the handler, the others wait for its answer. If
//!   there is none, for whatever reason, that concerns its own message only, and the next in line calls.
//! - **Only what has left.** An answer is kept once the message of the call is as good as settled: its outbox and its
//!   reply are confirmed. Kept earlier, it would answer the redelivery or the next attempt of that very message,
//!   and what the handler had published would be lost.
//!
//! Time is tokio's, so that tests turn the clock; the ready-made caches with a time to live have a clock of their own.

mod key;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::{Mutex as Line, OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep_until, timeout};

pub use key::KEY_BYTES_MAX;
use key::{Key, Keys};

use super::limits::Hold;
use crate::contract::envelope::Opened;
use crate::handler::{Answer, HandlerEntry, Outcome};
use crate::transport::Delivery;

/// The word for an answer to an equal query.
const CACHED: &str = "cached";
/// The word for a message that was handled before.
const REPEATED: &str = "repeated";

/// The answers of one handler, and the calls that will give further ones.
pub struct ReplyCache {
    handler: &'static str,
    /// The word for the ledger of what is handled without a call.
    word: &'static str,
    ttl: Duration,
    hold_max: Duration,
    keys: Keys,
    board: Mutex<Board>,
}

struct Board {
    kept: LruCache<Key, Kept>,
    /// What is under way. There are no more than messages that are being handled.
    flights: HashMap<Key, Boarding>,
}

struct Kept {
    given: Given,
    until: Instant,
}

/// What a call gave.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// Success without an answer; kept for repeated messages alone.
    Nothing,
    Answer(Answer),
}

impl From<Given> for Outcome {
    fn from(given: Given) -> Self {
        match given {
            Given::Nothing => Self::Done,
            Given::Answer(answer) => Self::Answered(answer),
        }
    }
}

/// A flight and how many are waiting for it or making it.
struct Boarding {
    flight: Arc<Flight>,
    seats: usize,
}

/// Equal queries, of which one at a time calls the handler.
struct Flight {
    /// Whoever holds it calls, or finds the answer of whoever held it before.
    line: Arc<Line<Option<Given>>>,
    /// True while a call is under way.
    calling: watch::Sender<bool>,
}

/// What came of looking for an answer.
#[derive(Debug)]
pub(super) enum Looked {
    /// There is one.
    Found(Given),
    /// There is none: the handler is to be called.
    Call(Caching),
    /// The app stops, or the queue is paused, while an equal query is being answered.
    Left,
    /// Equal queries took as long as a call of this one might have taken.
    TimedOut,
    /// It waited too long: the message goes back to the broker.
    Late,
}

/// What the reply cache has to do with a message.
#[derive(Debug, Default)]
pub(crate) enum Caching {
    /// Nothing.
    #[default]
    Not,
    /// It gave the answer; with the word for the ledger.
    Hit(&'static str),
    /// It waits for the answer.
    Wanted(Box<Lead>),
}

impl ReplyCache {
    /// The cache of a handler, if it has one. Queries whose `flow_headers` differ are different; none waits
    /// that came longer than `hold_max` ago.
    #[must_use]
    pub fn of(
        entry: &HandlerEntry,
        flow_headers: &[String],
        hold_max: Duration,
    ) -> Option<Arc<Self>> {
        let (policy, word, keys) = match (entry.options.cache, entry.options.idempotent) {
            (Some(policy), _) => (policy, CACHED, Keys::of_queries(entry.message, flow_headers)),
            (None, Some(policy)) => (policy, REPEATED, Keys::Ids),
            (None, None) => return None,
        };
        let size = usize::try_from(policy.size).ok().and_then(NonZeroUsize::new)?;
        let kept = LruCache::sparse(size);
        Some(Arc::new(Self {
            handler: entry.name,
            word,
            ttl: policy.ttl,
            hold_max,
            keys,
            board: Mutex::new(Board { kept, flights: HashMap::new() }),
        }))
    }

    /// Finds the answer, or waits for it while an equal query is being answered: until the consumer is
    /// halted, for as long as a call may take (`limit`), and not for too long in all.
    pub(super) async fn look(
        self: &Arc<Self>,
        opened: &Opened<'_>,
        delivery: &Delivery,
        limit: Duration,
        hold: Hold<'_>,
    ) -> Looked {
        match self.keys.of(opened, delivery) {
            Some(key) => self.look_for(key, limit, hold).await,
            None => Looked::Call(Caching::Not),
        }
    }

    async fn look_for(self: &Arc<Self>, key: Key, limit: Duration, hold: Hold<'_>) -> Looked {
        let seat = match self.board(key) {
            Ok(seat) => seat,
            Err(given) => return Looked::Found(given),
        };
        let line = Arc::clone(&seat.flight.line);
        let mut halted = hold.halted.subscribe();
        let place = tokio::select! {
            biased;
            // First: most queries find nobody before them, and need no timer.
            place = line.lock_owned() => place,
            // An error means that the consumer is gone, which is as halted as it can be.
            _ = halted.wait_for(|halted| *halted) => return Looked::Left,
            () = seat.flight.overdue(limit) => return Looked::TimedOut,
            () = sleep_until(hold.since + self.hold_max) => return Looked::Late,
        };
        match &*place {
            Some(given) => Looked::Found(given.clone()),
            None => {
                let lead = Lead { place, seat, landed: None };
                Looked::Call(Caching::Wanted(Box::new(lead)))
            }
        }
    }

    /// A seat in the flight of these queries.
    ///
    /// # Errors
    /// The answer, if there is one already.
    fn board(self: &Arc<Self>, key: Key) -> Result<Seat, Given> {
        let mut board = self.lock();
        match board.kept.get(&key) {
            Some(kept) if Instant::now() < kept.until => return Err(kept.given.clone()),
            _ => {}
        }
        let expired = board.kept.pop(&key);
        let new = || Boarding { flight: Flight::new(), seats: 0 };
        let boarding = board.flights.entry(Arc::clone(&key)).or_insert_with(new);
        boarding.seats += 1;
        let flight = Arc::clone(&boarding.flight);
        drop(board);
        // Not under the lock: it is the user's value.
        drop(expired);
        Ok(Seat { cache: Arc::clone(self), key, flight })
    }

    /// The word for the ledger of what is handled without a call.
    pub(super) const fn word(&self) -> &'static str {
        self.word
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what is in it: keys are payloads.
impl fmt::Debug for ReplyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, flights) = {
            let board = self.lock();
            (board.kept.len(), board.flights.len())
        };
        f.debug_struct("ReplyCache")
            .field("handler", &self.handler)
            .field("ttl", &self.ttl)
            .field("kept", &kept)
            .field("flights", &flights)
            .finish_non_exhaustive()
    }
}

impl Flight {
    fn new() -> Arc<Self> {
        Arc::new(Self { line: Arc::default(), calling: watch::Sender::new(false) })
    }

    /// Resolves when calls have taken longer than `limit` in all. While the first in line waits for the
    /// handler's limits nothing is counted, as nothing is for that one.
    async fn overdue(&self, limit: Duration) {
        let mut calling = self.calling.subscribe();
        // Over the limit, not at it: a call that began at the same moment is cancelled first, and then
        // it is the next one's turn.
        let mut left = limit + Duration::from_millis(1);
        // The sender lives as long as `self`.
        while calling.wait_for(|calling| *calling).await.is_ok() {
            let began = Instant::now();
            if timeout(left, calling.wait_for(|calling| !*calling)).await.is_err() {
                return;
            }
            left = left.saturating_sub(began.elapsed());
        }
    }
}

/// A place in a flight; the last one that is given up takes the flight along.
struct Seat {
    cache: Arc<ReplyCache>,
    key: Key,
    flight: Arc<Flight>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut board = self.cache.lock();
        let Some(boarding) = board.flights.get_mut(&self.key) else { return };
        if Arc::ptr_eq(&boarding.flight, &self.flight) {
            boarding.seats -= 1;
            if boarding.seats == 0 {
                board.flights.remove(&self.key);
            }
        }
    }
}

/// The right to call the handler for all equal queries. Dropped without an answer, wherever that happens, it
/// passes to the next in line.
pub(crate) struct Lead {
    place: OwnedMutexGuard<Option<Given>>,
    seat: Seat,
    /// What the call gave, and when.
    landed: Option<(Given, Instant)>,
}

impl Lead {
    /// The call begins.
    pub(super) fn call(&self) {
        self.seat.flight.calling.send_replace(true);
    }

    /// The call has ended.
    pub(super) fn land(&mut self, outcome: &Outcome) {
        self.seat.flight.calling.send_replace(false);
        let by_id = matches!(self.seat.cache.keys, Keys::Ids);
        let given = match outcome {
            // A "no" is no answer to the next one who asks; to the same message again it is.
            Outcome::Answered(answer) if by_id || answer.refusal.is_none() => {
                Given::Answer(answer.clone())
            }
            Outcome::Done if by_id => Given::Nothing,
            _ => return,
        };
        self.landed = Some((given, Instant::now()));
    }

    /// All that followed from the call has left: its answer, if there is one, is everybody's.
    fn keep(mut self) {
        let Some((given, at)) = self.landed.take() else { return };
        let Seat { cache, key, flight } = &self.seat;
        let kept = Kept { given: given.clone(), until: at + cache.ttl };
        let mut board = cache.lock();
        // From now on nobody boards; those who did find the answer in the line, whatever becomes of it here.
        if board.flights.get(key).is_some_and(|other| Arc::ptr_eq(&other.flight, flight)) {
            board.flights.remove(key);
        }
        let pushed_out = board.kept.push(Arc::clone(key), kept);
        drop(board);
        drop(pushed_out);
        *self.place = Some(given);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.seat.flight.calling.send_replace(false);
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("cache", &self.seat.cache).finish_non_exhaustive()
    }
}

impl Caching {
    /// The call begins.
    pub(super) fn call(&self) {
        if let Self::Wanted(lead) = self {
            lead.call();
        }
    }

    /// The call has ended.
    pub(super) fn land(&mut self, outcome: &Outcome) {
        if let Self::Wanted(lead) = self {
            lead.land(outcome);
        }
    }

    /// The message is handled, and all that followed has left. Gives the word for the ledger.
    pub(crate) fn finish(self) -> Option<&'static str> {
        match self {
            Self::Not => None,
            Self::Hit(word) => Some(word),
            Self::Wanted(lead) => {
                lead.keep();
                None
            }
        }
    }
}
