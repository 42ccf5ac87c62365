//! No verdict is missed, whatever the order of the library's thread and of those who wait.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use shuttle::future::block_on;
use shuttle::sync::atomic::AtomicUsize;
use shuttle::sync::mpsc::{self, Sender};
use shuttle::thread;
use tokio::sync::oneshot;

use super::*;
use crate::contract::address::Address;
use crate::transport::Properties;

const SCHEDULES: usize = 2_000;

/// What the library resolves, in two steps: written to the socket, then confirmed. It wakes under its own lock, as the
/// library does.
#[derive(Default)]
struct Promise(Mutex<Steps>);

#[derive(Default)]
struct Steps {
    written: bool,
    confirmed: bool,
    /// Who waits for the next step. The first step wakes them, and they must come again for the second.
    waker: Option<Waker>,
}

impl Promise {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut steps = lock(&self.0);
        if steps.written && steps.confirmed {
            return Poll::Ready(());
        }
        steps.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn step(&self, step: impl FnOnce(&mut Steps)) {
        let mut steps = lock(&self.0);
        step(&mut steps);
        if let Some(waker) = steps.waker.take() {
            waker.wake();
        }
    }
}

fn ticket(unhurried: bool) -> Arc<Ticket> {
    let mut outgoing = Outgoing::new(Address::queue("q"), Properties::default(), Bytes::new());
    outgoing.unhurried = unhurried;
    Ticket::new(outgoing)
}

/// A message that waits; nothing once it is settled.
type Slot = Option<(Arc<Ticket>, Arc<Promise>)>;

/// Looks as `Lane` does.
#[derive(Default)]
struct Model {
    news: Arc<News>,
    board: Mutex<Vec<Slot>>,
}

impl Model {
    fn submit<'a>(
        &'a self,
        ticket: &'a Arc<Ticket>,
        wire: &Sender<Arc<Promise>>,
    ) -> Submitted<'a, Self> {
        let promise = Arc::new(Promise::default());
        let mut board = lock(&self.board);
        ticket.sit(board.len() as u64, &self.news);
        let waker = Waker::from(Arc::clone(ticket));
        assert!(promise.poll(&Context::from_waker(&waker)).is_pending());
        wire.send(Arc::clone(&promise)).unwrap();
        board.push(Some((Arc::clone(ticket), promise)));
        drop(board);
        Submitted::new(self, ticket)
    }

    fn is_empty(&self) -> bool {
        lock(&self.board).iter().all(Option::is_none)
    }
}

impl Look for Model {
    fn look(&self, own: Option<&Ticket>) {
        if !self.news.is_some() {
            return;
        }
        let mut board = lock(&self.board);
        let (mut taken, mut done) = (Vec::new(), Vec::new());
        while self.news.take(&mut taken) {
            for number in taken.drain(..) {
                let slot = &mut board[usize::try_from(number).unwrap()];
                let Some((ticket, promise)) = slot else { continue };
                let waker = Waker::from(Arc::clone(ticket));
                if promise.poll(&Context::from_waker(&waker)).is_ready() {
                    done.extend(slot.take());
                }
            }
        }
        drop(board);
        for (ticket, _) in done {
            let is_own = own.is_some_and(|own| std::ptr::eq(own, &*ticket));
            let caller = ticket.settle(Verdict::Confirmed);
            caller.filter(|_| !is_own).into_iter().for_each(Waker::wake);
        }
    }
}

/// The library's thread: writes what comes, and confirms it in an order of its own.
fn library(wire: &mpsc::Receiver<Arc<Promise>>, replies: Vec<oneshot::Sender<()>>) {
    let mut unconfirmed = VecDeque::new();
    while let Ok(promise) = wire.recv() {
        promise.step(|steps| steps.written = true);
        unconfirmed.push_front(promise);
        if unconfirmed.len() == 2 {
            unconfirmed.pop_back().unwrap().step(|steps| steps.confirmed = true);
        }
    }
    for reply in replies {
        // One that has its confirm already does not wait for it.
        let _ = reply.send(());
    }
    for promise in unconfirmed {
        promise.step(|steps| steps.confirmed = true);
    }
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
fn publish(model: &Arc<Model>, wire: Sender<Arc<Promise>>) {
    let ticket = ticket(false);
    let submitted = model.submit(&ticket, &wire);
    drop(wire);
    assert!(matches!(block_on(submitted), Verdict::Confirmed));
}

/// One that is alone has nobody who looks for it, too.
fn publish_at_a_time(publishers: usize) {
    let model = move || {
        let model = Arc::new(Model::default());
        let (wire, frames) = mpsc::channel();
        let mut threads = vec![thread::spawn(move || library(&frames, Vec::new()))];
        for _ in 0..publishers {
            let (model, wire) = (Arc::clone(&model), wire.clone());
            threads.push(thread::spawn(move || publish(&model, wire)));
        }
        drop(wire);
        run(&model, threads);
        assert!(model.is_empty());
    };
    shuttle::check_random(model, SCHEDULES);
}

#[test]
fn whoever_is_in_a_hurry_hears_its_verdict_in_any_order_of_events() {
    publish_at_a_time(1);
    publish_at_a_time(3);
}

/// Asks, as one does who waits for the reply and not for the confirm.
fn ask(model: &Arc<Model>, wire: Sender<Arc<Promise>>, reply: oneshot::Receiver<()>) {
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
        let mut threads = vec![thread::spawn(move || library(&frames, vec![reply]))];
        let (hurried, asking) = (Arc::clone(&model), Arc::clone(&model));
        let other = wire.clone();
        threads.push(thread::spawn(move || publish(&hurried, other)));
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
fn whoever_publishes_is_woken_by_the_second_news_alone() {
    let model = || {
        let model = Model::default();
        let (wire, _frames) = mpsc::channel();
        let ticket = ticket(false);
        let mut submitted = pin!(model.submit(&ticket, &wire));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(submitted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let [first, second] = [(); 2].map(|()| {
            ticket.wake_by_ref();
            woken.0.load(Ordering::SeqCst)
        });
        assert_eq!((first, second), (0, 1));
    };
    shuttle::check_random(model, 1);
}
