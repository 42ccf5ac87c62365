//! Any sequence of operations: nothing is lost, nothing is doubled, nobody holds too much, and the
//! same sequence always ends the same way.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::contract::address::Address;
use crate::transport::{Delivery, Intake, Properties, Queue, Settlement};

#[derive(Clone, Debug)]
enum Step {
    Publish { expiration_ms: Option<u64>, priority: u8 },
    Subscribe { queue: usize, prefetch: u16 },
    Take(usize),
    Settle(usize, usize, Settlement),
    Cancel(usize),
    Drop(usize),
    Advance(u64),
}

const QUEUES: [&str; 2] = ["q", "dead"];

fn step() -> impl Strategy<Value = Step> {
    let fate = prop::sample::select(vec![Settlement::Ack, Settlement::Requeue, Settlement::Reject]);
    prop_oneof![
        4 => (prop::option::weighted(0.3, 0..50_u64), 0..4_u8)
            .prop_map(|(expiration_ms, priority)| Step::Publish { expiration_ms, priority }),
        1 => (0..2_usize, 1..4_u16)
            .prop_map(|(queue, prefetch)| Step::Subscribe { queue, prefetch }),
        6 => (0..4_usize).prop_map(Step::Take),
        4 => (0..4_usize, 0..4_usize, fate).prop_map(|(a, b, c)| Step::Settle(a, b, c)),
        1 => (0..4_usize).prop_map(Step::Cancel),
        1 => (0..4_usize).prop_map(Step::Drop),
        1 => (0..30_u64).prop_map(Step::Advance),
    ]
}

/// A consumer, and what it should be able to do.
#[derive(Debug)]
struct Held {
    subscription: Box<dyn Subscription>,
    prefetch: usize,
    deliveries: Vec<Delivery>,
}

/// A run, and how often each message was seen for the last time.
struct Run {
    transport: MemoryTransport,
    consumers: Vec<Held>,
    published: u64,
    /// By body: settled for good.
    done: BTreeMap<Vec<u8>, u32>,
    log: Vec<String>,
}

impl Run {
    async fn new() -> Self {
        let transport = MemoryTransport::new();
        let mut topology = Topology::default();
        topology.queue(Queue::new("q").dead_letter("dead").max_priority(2));
        topology.queue(Queue::new("dead"));
        transport.declare(&topology).await.unwrap();
        Self {
            transport,
            consumers: Vec::new(),
            published: 0,
            done: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    async fn apply(&mut self, step: &Step) {
        match step {
            Step::Publish { expiration_ms, priority } => {
                let properties = Properties {
                    expiration_ms: *expiration_ms,
                    priority: Some(*priority),
                    ..Properties::default()
                };
                self.published += 1;
                let body = self.published.to_string();
                let outgoing = Outgoing::new(Address::queue("q"), properties, body);
                self.transport.publish(outgoing).await.unwrap();
            }
            Step::Subscribe { queue, prefetch } => {
                let options = SubscribeOptions::new(QUEUES[*queue], *prefetch);
                let subscription = self.transport.subscribe(options).await.unwrap();
                self.consumers.push(Held {
                    subscription,
                    prefetch: usize::from(*prefetch),
                    deliveries: Vec::new(),
                });
            }
            Step::Take(at) => self.take(*at),
            Step::Settle(at, which, fate) => self.settle(*at, *which, *fate),
            Step::Cancel(at) => {
                if let Some(held) = self.consumers.get_mut(*at) {
                    held.subscription.cancel().await.unwrap();
                }
            }
            Step::Drop(at) => {
                if *at < self.consumers.len() {
                    drop(self.consumers.remove(*at));
                }
            }
            Step::Advance(ms) => tokio::time::advance(Duration::from_millis(*ms)).await,
        }
    }

    fn take(&mut self, at: usize) {
        let Some(held) = self.consumers.get_mut(at) else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Intake::Delivery(delivery)) = held.subscription.poll_next(&mut cx) {
            let log = format!("{at} {:?} {:?}", delivery.body, delivery.delivery_count);
            self.log.push(log);
            held.deliveries.push(delivery);
            assert!(held.deliveries.len() <= held.prefetch, "holds too much");
        }
    }

    fn settle(&mut self, at: usize, which: usize, fate: Settlement) {
        let Some(held) = self.consumers.get_mut(at) else {
            return;
        };
        if which >= held.deliveries.len() {
            return;
        }
        let delivery = held.deliveries.remove(which);
        held.subscription.settle(delivery.tag, fate);
        let dropped = fate == Settlement::Reject && delivery.routing_key == "dead";
        if fate == Settlement::Ack || dropped {
            *self.done.entry(delivery.body.to_vec()).or_default() += 1;
        }
    }

    /// Every message is at exactly one place.
    fn check(&self) {
        let snapshot = self.transport.snapshot();
        let waiting = snapshot.iter().map(|queue| queue.messages.len() as u64);
        let held = snapshot.iter().map(|queue| queue.unsettled as u64);
        let done = self.done.len() as u64;
        assert_eq!(waiting.sum::<u64>() + held.sum::<u64>() + done, self.published);
        assert!(self.done.values().all(|times| *times == 1), "settled twice");
    }
}

/// Runs the steps and ends all consumers; what came out, and what is left where.
async fn play(steps: &[Step]) -> (Vec<String>, Vec<QueueSnapshot>) {
    let mut run = Run::new().await;
    for step in steps {
        run.apply(step).await;
        run.check();
    }
    run.consumers.clear();
    run.check();
    tokio::time::timeout(Duration::from_secs(1), run.transport.idle())
        .await
        .expect("nobody holds anything");
    let mut snapshot = run.transport.snapshot();
    let left = snapshot.iter_mut().flat_map(|queue| &mut queue.messages);
    for (properties, _) in left {
        // The wall clock is the one thing that differs.
        properties.headers.remove(crate::contract::headers::names::DEATH_TIME);
    }
    (run.log, snapshot)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_sequence_keeps_every_message_once_and_ends_the_same_way(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let play = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(play(&steps))
        };
        prop_assert_eq!(play(), play());
    }
}
