//! A model of settling through reconnects, run in many orders of events: handlers end while channels are
//! lost and made again, the second during the recovery from the first.
//!
//! Each channel has an [`AckWindow`] of its own, which is what makes a late settlement harmless: it goes
//! to the window, and so to the channel, that its delivery came from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

use super::ack::{Ack, AckWindow};

/// How many orders of events are tried.
const SCHEDULES: usize = 1_000;
const MESSAGES: u32 = 5;
const CHANNELS: usize = 3;
const WORKERS: usize = 3;
const PREFETCH: u16 = 2;
/// How often a handler lets others go first.
const PAUSES: usize = 4;

/// What the broker knows.
#[derive(Default)]
struct Broker {
    ready: VecDeque<u32>,
    channels: [Channel; CHANNELS],
    handled: BTreeSet<u32>,
    acknowledged: BTreeSet<u32>,
}

#[derive(Default)]
struct Channel {
    is_lost: bool,
    last_tag: u64,
    unsettled: BTreeMap<u64, u32>,
}

/// A channel as the subscription keeps it.
struct Life {
    channel: usize,
    window: Mutex<AckWindow>,
}

struct Job {
    life: Arc<Life>,
    tag: u64,
    message: u32,
}

struct World {
    broker: Mutex<Broker>,
    jobs: Mutex<VecDeque<Job>>,
    current: Mutex<Arc<Life>>,
    changed: Condvar,
    /// The planted defect: settlements go to whatever channel there is now.
    settles_on_the_next_channel: bool,
}

impl Life {
    fn of(channel: usize) -> Arc<Self> {
        Arc::new(Self { channel, window: Mutex::new(AckWindow::new(PREFETCH)) })
    }
}

impl Broker {
    fn is_done(&self) -> bool {
        self.acknowledged.len() == MESSAGES as usize
    }

    fn deliver(&mut self, at: usize) -> Option<(u64, u32)> {
        let channel = &mut self.channels[at];
        if channel.is_lost || channel.unsettled.len() >= usize::from(PREFETCH) {
            return None;
        }
        let message = self.ready.pop_front()?;
        channel.last_tag += 1;
        channel.unsettled.insert(channel.last_tag, message);
        Some((channel.last_tag, message))
    }

    /// A frame that the client wrote. On a lost channel it never arrives.
    fn acknowledge(&mut self, at: usize, ack: Ack) {
        let channel = &mut self.channels[at];
        if channel.is_lost {
            return;
        }
        assert!(channel.unsettled.contains_key(&ack.tag), "RabbitMQ closes a channel for that");
        let lowest = if ack.multiple { 0 } else { ack.tag };
        let covered: Vec<u64> = channel.unsettled.range(lowest..=ack.tag).map(|it| *it.0).collect();
        for tag in covered {
            let message = channel.unsettled.remove(&tag).expect("it was there");
            assert!(self.handled.contains(&message), "message {message} is lost");
            assert!(self.acknowledged.insert(message), "message {message} was gone already");
        }
    }

    fn lose(&mut self, at: usize) {
        self.channels[at].is_lost = true;
        let back = std::mem::take(&mut self.channels[at].unsettled);
        self.ready.extend(back.into_values());
    }
}

impl World {
    fn new(settles_on_the_next_channel: bool) -> Self {
        let broker = Broker { ready: (0..MESSAGES).collect(), ..Broker::default() };
        Self {
            broker: Mutex::new(broker),
            jobs: Mutex::default(),
            current: Mutex::new(Life::of(0)),
            changed: Condvar::new(),
            settles_on_the_next_channel,
        }
    }

    /// The consumer: takes deliveries, and begins anew after each loss.
    fn consume(&self) {
        for channel in 0..CHANNELS {
            let life = Life::of(channel);
            *self.current.lock().unwrap() = Arc::clone(&life);
            loop {
                // In the order in which settling locks them.
                let mut window = life.window.lock().unwrap();
                let mut broker = self.broker.lock().unwrap();
                if broker.is_done() {
                    return;
                }
                if broker.channels[channel].is_lost {
                    break;
                }
                match broker.deliver(channel) {
                    Some((tag, message)) => {
                        window.received(tag);
                        let job = Job { life: Arc::clone(&life), tag, message };
                        self.jobs.lock().unwrap().push_back(job);
                        self.changed.notify_all();
                    }
                    None => {
                        drop(window);
                        drop(self.changed.wait(broker).unwrap());
                    }
                }
            }
        }
    }

    /// A handler: it has its effect, and later says so.
    fn work(&self) {
        loop {
            let mut broker = self.broker.lock().unwrap();
            let job = loop {
                if broker.is_done() {
                    return;
                }
                if let Some(job) = self.jobs.lock().unwrap().pop_front() {
                    break job;
                }
                broker = self.changed.wait(broker).unwrap();
            };
            drop(broker);
            // Long enough for a channel to be lost and another to be there.
            (0..PAUSES).for_each(|_| thread::yield_now());
            self.broker.lock().unwrap().handled.insert(job.message);
            self.settle(&job);
        }
    }

    fn settle(&self, job: &Job) {
        let current = Arc::clone(&self.current.lock().unwrap());
        let life = if self.settles_on_the_next_channel { &current } else { &job.life };
        let mut acks = Vec::new();
        let mut window = life.window.lock().unwrap();
        window.finish(job.tag);
        window.flush(true, |ack| acks.push(ack));
        // Written with the window's lock held, as one task does both.
        let mut broker = self.broker.lock().unwrap();
        acks.into_iter().for_each(|ack| broker.acknowledge(life.channel, ack));
        self.changed.notify_all();
    }

    fn lose(&self, channel: usize) {
        self.broker.lock().unwrap().lose(channel);
        self.changed.notify_all();
    }
}

fn run(settles_on_the_next_channel: bool) {
    let world = Arc::new(World::new(settles_on_the_next_channel));
    let spawn = |work: fn(&World)| {
        let world = Arc::clone(&world);
        thread::spawn(move || work(&world))
    };
    let mut threads = vec![spawn(World::consume)];
    threads.extend((0..WORKERS).map(|_| spawn(World::work)));
    // The second loss may come during the recovery from the first.
    threads.push(spawn(|world| (0..CHANNELS - 1).for_each(|channel| world.lose(channel))));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let broker = world.broker.lock().unwrap();
    assert!(broker.ready.is_empty() && broker.is_done(), "every message is handled and gone");
}

#[test]
fn a_late_settlement_never_reaches_the_next_channel() {
    shuttle::check_random(|| run(false), SCHEDULES);
}

#[test]
fn the_model_sees_a_settlement_on_the_wrong_channel() {
    let wrong = std::panic::catch_unwind(|| shuttle::check_random(|| run(true), SCHEDULES));
    assert!(wrong.is_err(), "a stale ack went unseen");
}
