//! No verdict is missed, whatever the order of the library's thread and of those who wait.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::AtomicUsize;
use shuttle::sync::mpsc::{self, Sender};
use shuttle::thread;
use tokio::sync::oneshot;

use super::*;
use crate::contract::address::Address;
use crate::transport::Properties;

const SCHEDULES: usize = 2_000;

/// What the library resolves, to be taken once. It wakes under its own lock, as the library does.
struct Promise<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Default for Promise<T> {
    fn default() -> Self {
        Self(Mutex::new((None, None)))
    }
}

impl<T> Promise<T> {
    fn poll(&self, waker: &Waker) -> Option<T> {
        let (result, whom) = &mut *lock(&self.0);
        *whom = result.is_none().then(|| waker.clone());
        result.take()
    }

    fn resolve(&self, with: T) {
        let (result, whom) = &mut *lock(&self.0);
        *result = Some(with);
        if let Some(whom) = whom.take() {
            whom.wake();
        }
    }
}

/// What the library promises of a message.
#[derive(Default)]
struct Promises {
    number: u64,
    /// Whether a queue takes it.
    is_routable: bool,
    written: Promise<()>,
    /// With the number of a message that was given back, this one or another one.
    confirmed: Promise<Option<u64>>,
}

fn ticket(unhurried: bool) -> Arc<Ticket> {
    ticket_of(unhurried, true)
}

/// In this model a message that is not mandatory is one that no queue takes.
fn ticket_of(unhurried: bool, is_routable: bool) -> Arc<Ticket> {
    let outgoing = Outgoing::new(Address::queue("q"), Properties::default(), Bytes::new());
    let mut outgoing = outgoing.mandatory(is_routable);
    outgoing.unhurried = unhurried;
    Ticket::new(outgoing)
}

/// A message that waits.
struct Slot {
    ticket: Arc<Ticket>,
    promises: Arc<Promises>,
    /// Whether it is known that its frames are written.
    is_back: bool,
    is_returned: bool,
}

/// Looks as `Lane` does.
struct Model {
    news: Arc<News>,
    written: Written,
    board: Mutex<Board>,
    /// The library's own, held while it resolves what one frame confirms.
    frame: Mutex<()>,
    /// How many callers have gone.
    abandoned: AtomicUsize,
}

/// What is under one lock.
#[derive(Default)]
struct Board {
    /// Nothing once it is settled.
    slots: Vec<Option<Slot>>,
    /// Those of which it is not known that their frames are written.
    out: VecDeque<u64>,
}

impl Default for Model {
    fn default() -> Self {
        let news = Arc::default();
        Self {
            written: Written::new(&news),
            news,
            board: Mutex::default(),
            frame: Mutex::default(),
            abandoned: AtomicUsize::default(),
        }
    }
}

impl Model {
    fn submit<'a>(
        &'a self,
        ticket: &'a Arc<Ticket>,
        wire: &Sender<Arc<Promises>>,
    ) -> Submitted<'a, Self> {
        let mut board = lock(&self.board);
        let number = board.slots.len() as u64;
        let is_routable = ticket.outgoing.mandatory;
        let promises = Arc::new(Promises { number, is_routable, ..Promises::default() });
        ticket.sit(number, &self.news);
        let ticket_of_board = Arc::clone(ticket);
        let mut slot =
            Slot { ticket: ticket_of_board, promises, is_back: false, is_returned: false };
        assert!(!self.is_back(&mut slot));
        wire.send(Arc::clone(&slot.promises)).unwrap();
        board.slots.push(Some(slot));
        board.out.push_back(number);
        drop(board);
        Submitted::new(self, ticket)
    }

    fn is_back(&self, slot: &mut Slot) -> bool {
        let waker = self.written.waker(slot.ticket.outgoing.unhurried);
        slot.is_back |= slot.promises.written.poll(waker).is_some();
        slot.is_back
    }

    /// What `Couriers::back` does.
    fn back(&self, Board { slots, out }: &mut Board) -> Option<u64> {
        let number = *out.front()?;
        let is_back = self.is_back(slots[place_of(number)].as_mut().unwrap());
        out.pop_front_if(|_| is_back)
    }

    fn is_empty(&self) -> bool {
        lock(&self.board).slots.iter().all(Option::is_none)
    }
}

impl Look for Model {
    fn look(&self, own: Option<&Ticket>) {
        if !self.news.is_some() {
            return;
        }
        let mut board = lock(&self.board);
        let (mut taken, mut done, mut returns) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_in_doubt = false;
        loop {
            self.news.take(&mut taken);
            if self.news.take_written() {
                while let Some(number) = self.back(&mut board) {
                    taken.push(number);
                }
            }
            if taken.is_empty() {
                if !std::mem::take(&mut is_in_doubt) {
                    break;
                }
                drop(lock(&self.frame));
            }
            for number in taken.drain(..) {
                let place = &mut board.slots[place_of(number)];
                let Some(slot) = place.as_ref().filter(|slot| slot.is_back) else { continue };
                let waker = Waker::from(Arc::clone(&slot.ticket));
                if let Some(returned) = slot.promises.confirmed.poll(&waker) {
                    is_in_doubt |= returned.is_some_and(|returned| returned != number);
                    returns.extend(returned);
                    done.extend(place.take());
                }
            }
        }
        for number in returns {
            let of_board = board.slots.iter_mut().flatten();
            let owner = done.iter_mut().chain(of_board).find(|slot| slot.promises.number == number);
            owner.expect("it has no verdict yet").is_returned = true;
        }
        drop(board);
        for Slot { ticket, is_returned, .. } in done {
            let is_own = own.is_some_and(|own| std::ptr::eq(own, &*ticket));
            let verdict =
                if is_returned { Verdict::Returned("no queue".into()) } else { Verdict::Confirmed };
            let caller = ticket.settle(verdict);
            caller.filter(|_| !is_own).into_iter().for_each(Waker::wake);
        }
    }

    /// Looks for two of them at a time.
    fn abandon(&self, own: &Ticket) {
        if self.abandoned.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            self.look(Some(own));
        }
    }
}

fn place_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The library's thread: writes what comes, and confirms several at a time, in any order, with its lock held. What was given
/// back goes with whatever is confirmed next.
fn library(model: &Model, wire: &mpsc::Receiver<Arc<Promises>>, replies: Vec<oneshot::Sender<()>>) {
    let (mut unconfirmed, mut returned) = (Vec::<Arc<Promises>>::new(), VecDeque::new());
    let frame = |unconfirmed: &mut Vec<Arc<Promises>>, returned: &mut VecDeque<u64>, all: bool| {
        let _frame = lock(&model.frame);
        // Those that no queue takes are confirmed at once.
        let is_confirmed = |promises: &mut Arc<Promises>| {
            all || !promises.is_routable || thread_rng().gen_bool(0.5)
        };
        let mut confirmed: Vec<_> = unconfirmed.extract_if(.., is_confirmed).collect();
        while !confirmed.is_empty() {
            let at = thread_rng().gen_range(0..confirmed.len());
            confirmed.swap_remove(at).confirmed.resolve(returned.pop_front());
        }
    };
    while let Ok(promises) = wire.recv() {
        promises.written.resolve(());
        returned.extend((!promises.is_routable).then_some(promises.number));
        unconfirmed.push(promises);
        if thread_rng().gen_bool(0.5) {
            frame(&mut unconfirmed, &mut returned, false);
        }
    }
    for reply in replies {
        // One that has its confirm already does not wait for it.
        let _ = reply.send(());
    }
    frame(&mut unconfirmed, &mut returned, true);
}

/// The lane's own task: looks when it is told to, until all others have ended.
fn keep(model: &Model, ended: oneshot::Receiver<()>) {
    block_on(async {
        let told = async {
            loop {
                model.news.now.notified().await;
                model.look(None);
            }
        };
        select(pin!(told), ended).await;
    });
}

/// Lets threads run until they end, beside the lane's own task.
fn run(model: &Arc<Model>, threads: Vec<thread::JoinHandle<()>>) {
    let (end, ended) = oneshot::channel();
    let kept = Arc::clone(model);
    let keeper = thread::spawn(move || keep(&kept, ended));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    end.send(()).unwrap();
    keeper.join().unwrap();
}

/// Publishes one message and waits for its verdict.
fn publish(model: &Arc<Model>, wire: Sender<Arc<Promises>>, is_routable: bool) {
    let ticket = ticket_of(false, is_routable);
    let submitted = model.submit(&ticket, &wire);
    drop(wire);
    let verdict = block_on(submitted);
    assert_eq!(is_routable, matches!(verdict, Verdict::Confirmed), "{verdict:?}");
}

/// One that is alone has nobody who looks for it, too.
fn publish_at_a_time(publishers: usize, is_routable: fn(usize) -> bool) {
    let model = move || {
        let model = Arc::new(Model::default());
        let (wire, frames) = mpsc::channel();
        let of_library = Arc::clone(&model);
        let mut threads = vec![thread::spawn(move || library(&of_library, &frames, Vec::new()))];
        for publisher in 0..publishers {
            let (model, wire) = (Arc::clone(&model), wire.clone());
            threads.push(thread::spawn(move || publish(&model, wire, is_routable(publisher))));
        }
        drop(wire);
        run(&model, threads);
        assert!(model.is_empty());
    };
    shuttle::check_random(model, SCHEDULES);
}

#[test]
fn whoever_is_in_a_hurry_hears_its_verdict_in_any_order_of_events() {
    publish_at_a_time(1, |_| true);
    publish_at_a_time(3, |_| true);
}

#[test]
fn what_was_given_back_never_counts_as_confirmed() {
    publish_at_a_time(1, |_| false);
    publish_at_a_time(4, |publisher| publisher % 2 == 0);
}

/// Asks, as one does who waits for the reply and not for the confirm.
fn ask(model: &Arc<Model>, wire: Sender<Arc<Promises>>, reply: oneshot::Receiver<()>) {
    let ticket = ticket(true);
    let submitted = model.submit(&ticket, &wire);
    drop(wire);
    if let Either::Left((verdict, _)) = block_on(select(submitted, reply)) {
        assert!(matches!(verdict, Verdict::Confirmed));
    }
}

#[test]
fn what_nobody_is_woken_for_is_looked_at_all_the_same() {
    let model = || {
        let model = Arc::new(Model::default());
        let (wire, frames) = mpsc::channel();
        let (reply, replied) = oneshot::channel();
        let of_library = Arc::clone(&model);
        let mut threads = vec![thread::spawn(move || library(&of_library, &frames, vec![reply]))];
        let (hurried, asking) = (Arc::clone(&model), Arc::clone(&model));
        let other = wire.clone();
        threads.push(thread::spawn(move || publish(&hurried, other, true)));
        threads.push(thread::spawn(move || ask(&asking, wire, replied)));
        run(&model, threads);
        // The lane's own task has been notified of whatever is left.
        if !model.is_empty() {
            block_on(model.news.later.notified());
            model.look(None);
        }
        assert!(model.is_empty());
    };
    shuttle::check_random(model, SCHEDULES);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn whoever_publishes_is_woken_by_the_confirm_alone() {
    let model = || {
        let model = Model::default();
        let (wire, _frames) = mpsc::channel();
        let ticket = ticket(false);
        let mut submitted = pin!(model.submit(&ticket, &wire));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(submitted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let [first, second] =
            [model.written.waker(false), &Waker::from(ticket.clone())].map(|waker| {
                waker.wake_by_ref();
                woken.0.load(Ordering::SeqCst)
            });
        assert_eq!((first, second), (0, 1));
    };
    shuttle::check_random(model, 1);
}
