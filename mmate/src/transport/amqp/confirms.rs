//! The channel that publishes, and who waits for which confirm.
//!
//! Callers hand over a message and wait for a verdict. The frames of a message are queued under one
//! lock, so confirms carry the numbers that the library counts, and the order of callers is kept.
//! Nobody waits for the socket but the socket.
//!
//! Where many are on their way already, further messages are put aside until all that is ready to run now has had its
//! turn, or until they are an eighth of those, and are handed over together: the library's code and data are in the
//! processor's cache then for all but the first, and the socket gets them in one piece. That is worth more than the few
//! microseconds that they wait, behind so many others.
//!
//! Whoever is woken looks at all confirms of which there is news, not only at its own, in the order in
//! which the library woke them. That order matters: the library hands a returned message to *the next
//! confirm that it resolves*, which may belong to another message (confirms of slow queues overtake,
//! and a `multiple` ack resolves in any order). So a returned message is matched to its owner by its
//! own id and address here, and a message counts as confirmed only after everything that was resolved
//! before it, or with it by the same frame, has been looked at.

use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::options::ConfirmSelectOptions;
use lapin::types::ShortString;
use lapin::{Channel, Connection, PublisherConfirm};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::board::Board;
use super::courier::{Answer, Couriers, Receipt, send};
use super::failure::cause;
use super::verdict::{Look, News, Submitted, Ticket, Verdict, Written};
use crate::transport::Outgoing;

/// How long a channel is used at least, and how often one that was replaced is looked at.
const RETIRE_AGE_MIN: Duration = Duration::from_secs(1);

/// How long news wait at most of which nobody is woken: no caller waits in a hurry, or it has gone.
const GLANCE_EVERY: Duration = Duration::from_millis(10);

/// How often those who wait are looked at where the limit is beyond what the clock can tell.
const ONE_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Of those that are on their way, one in so many may be put aside: whoever waits behind eight others does not notice one
/// more. With a fixed number, 32 callers that ask or 256 of them got less out of it.
const TOGETHER_SHARE: usize = 8;

/// So many are not waited with any longer.
const TOGETHER_MAX: usize = 32;

/// So many whose callers have gone wait at most for a look at their news, or until [`GLANCE_EVERY`] is over: looked at
/// together, they find the code and the lock that they need warm for all but the first.
const ABANDONED_MAX: usize = 16;

/// They hold at most one in so many of the places of messages in flight.
const ABANDONED_SHARE: u32 = 8;

/// For how many verdicts, told at a time, memory is kept.
const TOLD_MAX: usize = 512;

/// A message that is to be sent on a lane.
pub(super) struct Submission {
    /// Its place among those in flight.
    pub(super) permit: OwnedSemaphorePermit,
    /// When its caller is told that there was no verdict; nothing for one that has a limit of its own.
    pub(super) due: Option<Instant>,
}

/// A channel in confirm mode.
pub(super) struct Lane {
    /// Shared, since a clone of it costs a dozen counters.
    channel: Arc<Channel>,
    properties_bytes_max: usize,
    news: Arc<News>,
    written: Written,
    desk: Mutex<Desk>,
    /// Verdicts that are being told; kept for its memory.
    told: Mutex<Vec<Resolved>>,
    /// No message is due earlier than this after it was submitted.
    patience: Duration,
    /// How many callers have gone since it was looked at for one of them.
    abandoned: AtomicUsize,
    abandoned_max: usize,
    /// What the board says, for those who only ask: hundreds of callers would stand in line for the desk.
    is_dead: AtomicBool,
    /// Why the channel is no use any more, once a confirm has said so.
    failure: OnceLock<String>,
    opened: Instant,
    retired: watch::Sender<bool>,
}

/// What only one looks at a time.
#[derive(Default)]
struct Desk {
    board: Board<Waiting>,
    /// Messages that are to be sent together, fewer than [`TOGETHER_MAX`].
    aside: VecDeque<(Arc<Ticket>, Submission)>,
    couriers: Couriers,
    /// News that are being looked at; kept for its memory.
    taken: Vec<u64>,
}

/// A message between its frames and its confirm.
struct Waiting {
    /// Nothing until the frames are written, or refused.
    receipt: Option<Receipt>,
    ticket: Arc<Ticket>,
    returned: Option<Box<str>>,
    /// Held until the verdict, also when the caller has gone: it bounds what the library buffers.
    permit: OwnedSemaphorePermit,
    due: Option<Instant>,
}

/// A message with what the library says of it: true if the broker has it.
type Resolved = (Waiting, lapin::Result<bool>);

impl Lane {
    /// Opens a channel in confirm mode. No message that it is given may be due earlier than after `patience`, or
    /// its caller hears that later than at its time. There are `places` for messages in flight.
    pub(super) async fn open(
        connection: &Connection,
        patience: Duration,
        places: u32,
    ) -> lapin::Result<Self> {
        let news = Arc::default();
        Ok(Self {
            channel: confirming(connection).await?,
            properties_bytes_max: frame_room(connection),
            written: Written::new(&news),
            news,
            desk: Mutex::default(),
            told: Mutex::default(),
            patience,
            abandoned: AtomicUsize::new(0),
            abandoned_max: abandoned_max(places),
            is_dead: AtomicBool::new(false),
            failure: OnceLock::new(),
            opened: Instant::now(),
            retired: watch::Sender::new(false),
        })
    }

    /// Asks for another channel in its place: it refuses what a fresh one takes. One that is fresh itself
    /// stays, so that a queue that is now full and now not does not use up a channel per message.
    pub(super) fn retire(&self) {
        if self.opened.elapsed() >= RETIRE_AGE_MIN {
            self.retired.send_replace(true);
        }
    }

    /// Resolves once another channel is asked for.
    pub(super) async fn retired(&self) {
        // The sender is in `self`, so it cannot be gone.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Hands out the verdicts that are missing, after the channel was replaced.
    pub(super) async fn wind_up(&self) {
        while self.channel.status().connected() && !self.is_dead() && !self.desk().is_empty() {
            // The limit only makes it look again: the last verdict does not end `drive`.
            let _ = tokio::time::timeout(RETIRE_AGE_MIN, self.drive()).await;
            // Cut off between hearing of something and doing it, it would not hear of it again.
            self.catch_up();
        }
        self.bury();
    }

    /// The most bytes that properties and headers may take: they must fit into one frame.
    pub(super) const fn properties_bytes_max(&self) -> usize {
        self.properties_bytes_max
    }

    /// True once the channel is no use any more.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }

    /// Takes over a message, which then resolves with its verdict. A verdict on one that is `unhurried` may be looked at
    /// a few milliseconds later, and that it arrived wakes nobody.
    ///
    /// Nothing if the channel is gone; the message was not sent then.
    pub(super) fn submit<'a>(
        &'a self,
        ticket: &'a Arc<Ticket>,
        submission: Submission,
    ) -> Option<Submitted<'a, Self>> {
        let mut desk = self.desk();
        let number = desk.board.next_number()?;
        let together = (desk.board.len() / TOGETHER_SHARE).min(TOGETHER_MAX);
        if desk.aside.is_empty() && together < 2 {
            self.send(&mut desk, number, ticket, submission);
            return Some(Submitted::new(self, ticket));
        }
        desk.aside.push_back((Arc::clone(ticket), submission));
        match desk.aside.len() {
            count if count >= together => self.send_aside(&mut desk),
            1 => self.news.aside.notify_one(),
            _ => {}
        }
        Some(Submitted::new(self, ticket))
    }

    /// Sends what was put aside. What the channel does not take any more stays for [`Lane::bury`].
    fn send_aside(&self, desk: &mut Desk) {
        while let Some(number) = desk.board.next_number()
            && let Some((ticket, submission)) = desk.aside.pop_front()
        {
            self.send(desk, number, &ticket, submission);
        }
    }

    /// Queues the frames of a message, under the lock, which is held until it is on the board, see `look`.
    fn send(&self, desk: &mut Desk, number: u64, ticket: &Arc<Ticket>, submission: Submission) {
        let Submission { permit, due } = submission;
        ticket.sit(number, &self.news);
        let receipt = desk.couriers.send(&self.channel, number, ticket, &self.written);
        let is_early = receipt.is_some();
        let theirs = Arc::clone(ticket);
        let waiting = Waiting { receipt, ticket: theirs, returned: None, permit, due };
        let entered = desk.board.enter(waiting).is_ok();
        debug_assert!(entered, "it has a number");
        if is_early {
            // The channel is gone; or this thread was held up for so long that the frames are written. It takes the same
            // way as all others, since its confirm may carry another message's return; and at once, also for one that is
            // unhurried: on a channel that is gone nothing else may come that would be looked at.
            ticket.wake_by_ref();
            self.news.now.notify_one();
        }
    }

    /// Looks at the news of which nobody else is woken, sends what was put aside, and tells those whose time is over,
    /// until the channel ends; gives the reason.
    pub(super) async fn drive(&self) -> String {
        let mut overdue = pin!(sleep_until(self.tell_overdue()));
        let mut glance = pin!(sleep(Duration::ZERO));
        let mut is_glance_due = false;
        loop {
            tokio::select! {
                () = self.news.now.notified() => self.look(None),
                () = self.news.aside.notified() => {
                    // Whoever is ready to publish now has its turn before.
                    yield_now().await;
                    self.send_aside(&mut self.desk());
                }
                () = self.news.later.notified(), if !is_glance_due => {
                    // Most of it has been looked at by then.
                    glance.as_mut().reset(Instant::now() + GLANCE_EVERY);
                    is_glance_due = true;
                }
                () = &mut glance, if is_glance_due => {
                    is_glance_due = false;
                    self.look(None);
                }
                () = &mut overdue => overdue.as_mut().reset(self.tell_overdue()),
            }
            if self.is_dead() {
                let reason = self.failure.get().map_or("the channel is closed", String::as_str);
                return reason.to_owned();
            }
        }
    }

    /// Does all that there is to be done now.
    fn catch_up(&self) {
        self.send_aside(&mut self.desk());
        self.look(None);
    }

    /// Tells those whose time is over; gives the moment when the next one's may be. They stay on the board: their
    /// verdicts may still come, and what they have in the library's buffers is still there.
    fn tell_overdue(&self) -> Instant {
        // One whose verdict is here is told that, and one that is put aside is on the board.
        self.catch_up();
        let now = Instant::now();
        let mut desk = self.desk();
        let dues = desk.board.iter_mut().map(|waiting| (&mut waiting.due, &waiting.ticket));
        let (overdue, next) = take_overdue(now, dues);
        drop(desk);
        for ticket in overdue {
            ticket.settle(Verdict::Overdue).into_iter().for_each(Waker::wake);
        }
        // Nothing that is submitted from now on is due earlier than that.
        let none_before = now.checked_add(self.patience).unwrap_or(now + ONE_DAY);
        next.map_or(none_before, |next| next.min(none_before))
    }

    /// Lets the library resolve the rest of what one frame confirms. It does so with a lock held that is taken here, too.
    fn let_frame_end(&self) {
        // Nothing is waited for, and no confirm is dropped before its end, so that there is nothing to be had either.
        let _ = self.channel.wait_for_confirms().now_or_never();
    }

    /// Ends the channel: whoever still waits hears that it failed.
    pub(super) fn bury(&self) {
        self.shut(&mut self.desk().board);
        self.look(None);
        // The lock is not held while callers are told.
        let mut desk = self.desk();
        let (left, aside) = (desk.board.bury(), std::mem::take(&mut desk.aside));
        drop(desk);
        let sent = left.into_iter().map(|waiting| (waiting.ticket, waiting.returned));
        let unsent = aside.into_iter().map(|(ticket, _)| (ticket, None));
        for (ticket, returned) in sent.chain(unsent) {
            let error = lapin::ErrorKind::InvalidChannel(self.channel.id()).into();
            ticket.settle(verdict(returned, Err(error))).into_iter().for_each(Waker::wake);
        }
    }

    fn shut(&self, board: &mut Board<Waiting>) {
        board.shut();
        self.is_dead.store(true, Ordering::Release);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// True if nobody waits.
    fn is_empty(&self) -> bool {
        self.board.is_empty() && self.aside.is_empty()
    }
}

impl Look for Lane {
    /// Looks at every confirm of which there is news, and leaves the verdicts.
    ///
    /// All that were resolved before the last of them are among them: the library wakes after it resolves, in one
    /// thread, and a message that was resolved before its first poll is still under `submit`'s lock or among the
    /// news. One whose confirm nobody has asked for yet was written before, and so is among those that are back. What is
    /// resolved between the news and the poll is found by taking the news again.
    ///
    /// One that carries the return of another message may have been returned itself, with its own return on the next one
    /// that is resolved: an ack of several resolves them in any order. RabbitMQ confirms returned messages in the
    /// order in which it returned them, so that all returns of what an ack's frame confirms are handed out with that frame.
    fn look(&self, own: Option<&Ticket>) {
        if !self.news.is_some() {
            return;
        }
        let mut desk = self.desk();
        let Desk { board, couriers, taken, .. } = &mut *desk;
        let mut kept = self.told.try_lock().ok();
        let mut fresh = Vec::new();
        let done = kept.as_deref_mut().unwrap_or(&mut fresh);
        let mut returns: Vec<Box<BasicReturnMessage>> = Vec::new();
        let mut is_in_doubt = false;
        loop {
            self.news.take(taken);
            if self.news.take_written() {
                while let Some((number, receipt)) = couriers.back(&self.written) {
                    if let Some(waiting) = board.get_mut(number) {
                        waiting.receipt = Some(receipt);
                    }
                    taken.push(number);
                }
            }
            if taken.is_empty() {
                if !std::mem::take(&mut is_in_doubt) {
                    break;
                }
                self.let_frame_end();
            }
            for number in taken.drain(..) {
                let Some((waiting, result)) = board.take(number, Waiting::poll) else { continue };
                let result = result.map(|answer| {
                    let another = |returned: &BasicReturnMessage| !waiting.is_owner(returned);
                    is_in_doubt |= answer.returned.as_deref().is_some_and(another);
                    returns.extend(answer.returned);
                    answer.ack
                });
                if let Err(error) = &result {
                    self.shut(board);
                    let _ = self.failure.set(cause(error));
                    self.news.now.notify_one();
                }
                done.push((waiting, result));
            }
        }
        for returned in returns {
            let owner = done
                .iter_mut()
                .map(|(waiting, _)| waiting)
                .chain(board.iter_mut())
                .find(|waiting| waiting.is_owner(&returned));
            match owner {
                Some(owner) => owner.returned = Some(returned.reply_text.as_str().into()),
                None => tracing::error!("RabbitMQ returned a message that nobody waits for"),
            }
        }
        drop(desk);
        let mut freed: Option<OwnedSemaphorePermit> = None;
        for (Waiting { ticket, returned, permit, .. }, result) in done.drain(..) {
            let caller = ticket.settle(verdict(returned, result));
            let is_own = own.is_some_and(|own| std::ptr::eq(own, &*ticket));
            caller.filter(|_| !is_own).into_iter().for_each(Waker::wake);
            // Given back together, with one lock of the semaphore.
            match &mut freed {
                Some(freed) => freed.merge(permit),
                None => freed = Some(permit),
            }
        }
        done.shrink_to(TOLD_MAX);
    }

    fn abandon(&self, own: &Ticket) {
        // Counted too many or too few by one in a race, which the glance makes good.
        if self.abandoned.fetch_add(1, Ordering::Relaxed) + 1 >= self.abandoned_max {
            self.abandoned.store(0, Ordering::Relaxed);
            self.look(Some(own));
        }
    }
}

/// How many of so many places may be held by messages whose callers have gone.
fn abandoned_max(places: u32) -> usize {
    usize::try_from(places / ABANDONED_SHARE)
        .map_or(ABANDONED_MAX, |share| share.clamp(1, ABANDONED_MAX))
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("channel", &self.channel.id()).finish_non_exhaustive()
    }
}

impl Waiting {
    /// Asks for its answer, once. As long as there is none, the library wakes the ticket when there is.
    fn poll(&mut self) -> Option<lapin::Result<Answer>> {
        let confirm: &mut PublisherConfirm = match self.receipt.as_mut()? {
            Ok(confirm) => confirm,
            Err(_) => return self.receipt.take()?.err().map(Err),
        };
        let waker = Waker::from(Arc::clone(&self.ticket));
        match Pin::new(confirm).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(confirmation) => Some(confirmation.map(Answer::from)),
            Poll::Pending => None,
        }
    }

    /// True if a returned message is this one. Two that are alike in id and address are routed
    /// alike, so it does not matter which of them is taken.
    fn is_owner(&self, returned: &BasicReturnMessage) -> bool {
        let id = returned.properties.message_id().as_ref();
        let Outgoing { address, properties, mandatory, .. } = &self.ticket.outgoing;
        *mandatory
            && self.returned.is_none()
            && properties.message_id.as_deref() == id.map(ShortString::as_str)
            && address.exchange == returned.exchange.as_str()
            && address.routing_key == returned.routing_key.as_str()
    }
}

/// Those whose time is over, each once, and when the next of the others is due.
fn take_overdue<'a, T: Clone + 'a>(
    now: Instant,
    waiting: impl Iterator<Item = (&'a mut Option<Instant>, &'a T)>,
) -> (Vec<T>, Option<Instant>) {
    let (mut overdue, mut next) = (Vec::new(), None);
    for (due, whose) in waiting {
        if due.take_if(|due| *due <= now).is_some() {
            overdue.push(whose.clone());
        } else if let Some(due) = *due {
            next = Some(next.map_or(due, |next: Instant| next.min(due)));
        }
    }
    (overdue, next)
}

fn verdict(returned: Option<Box<str>>, result: lapin::Result<bool>) -> Verdict {
    match (returned, result) {
        (Some(text), _) => Verdict::Returned(text),
        (None, Ok(true)) => Verdict::Confirmed,
        (None, Ok(false)) => Verdict::Nacked,
        (None, Err(error)) => Verdict::Failed(Box::new(error)),
    }
}

/// The most bytes that properties and headers may take: they must fit into one frame.
pub(super) fn frame_room(connection: &Connection) -> usize {
    let frame_max = connection.configuration().frame_max() as usize;
    // A frame's own eight bytes, and fourteen of the content header.
    frame_max.saturating_sub(22)
}

/// Opens a channel in confirm mode.
async fn confirming(connection: &Connection) -> lapin::Result<Arc<Channel>> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(Arc::new(channel))
}

/// Sends one message on a channel that is opened for it.
pub(super) async fn send_alone(connection: &Connection, outgoing: &Outgoing) -> Verdict {
    let sent = async { send(&*confirming(connection).await?, outgoing).await };
    match sent.await {
        Ok(Answer { ack, returned }) => {
            let returned = returned.map(|returned| returned.reply_text.as_str().into());
            verdict(returned, Ok(ack))
        }
        Err(error) => verdict(None, Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_time_is_over_is_told_once_and_the_next_that_is_due_is_known() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut waiting = [5, 2, 9, 3].map(|seconds| (Some(after(seconds)), seconds));
        waiting[2].0 = None;
        let mut look = |seconds| {
            let dues = waiting.iter_mut().map(|(due, whose)| (due, &*whose));
            take_overdue(after(seconds), dues)
        };
        assert_eq!(look(1), (vec![], Some(after(2))));
        assert_eq!(look(3), (vec![2, 3], Some(after(5))));
        assert_eq!(look(3), (vec![], Some(after(5))));
        assert_eq!(look(9), (vec![5], None));
    }

    #[test]
    fn those_who_have_gone_hold_few_of_the_places() {
        let held = [0, 1, 8, 15, 16, 64, 128, 4_096, u32::MAX].map(abandoned_max);
        assert_eq!(held, [1, 1, 1, 1, 2, 8, 16, 16, 16]);
    }
}
