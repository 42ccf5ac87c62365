//! The reply queue: one exclusive queue per process, made at the first request, and the task that takes
//! replies from it for as long as the process lives.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::pending::Pending;
use crate::consume::{Activity, Readiness, stalled};
use crate::contract::{Source, Text};
use crate::reliability::Backoff;
use crate::transport::{
    Intake, Queue, QueueKind, Settlement, SubscribeOptions, Subscription, Topology, Transport,
    TransportError, TransportErrorKind,
};

/// Replies that the broker may hand over in advance, where the transport needs acks. They are given away at once, so this
/// bounds memory and not speed.
const PREFETCH: u16 = 500;

/// Waits between attempts to have a reply queue again: without end, at most 5 s apart.
const BACKOFF: Backoff = Backoff::exponential_ms(50, 5_000);

/// So long a name is tried again that the broker refuses on a working connection: it may not be done with
/// the connection from before an outage, or take it for alive, and keeps the name for it. Then, or as soon as
/// nobody waits for a reply to the old name, the queue gets another one.
const HELD_MAX: Duration = Duration::from_secs(5);

/// How replies are consumed.
#[derive(Clone, Debug)]
pub(super) struct DeskOptions {
    /// The name under which the broker lists the consumer.
    pub(super) consumer: String,
    /// After how long without a reply, while the queue holds some, the broker counts as having forgotten the
    /// consumer.
    pub(super) stall_after: Duration,
}

/// When a reply queue that was made again is looked for, each time after the last one. Seen with RabbitMQ 3.10 under
/// load: at times nothing ever comes to such a queue, and its consumer hears nothing. It fits that the broker removes
/// the queues of a lost connection by their names and after a while, and with them one that was made again
/// meanwhile; that was not shown. The queue counts as there once it was found for the first time.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(5),
];

/// Where replies arrive.
pub(super) struct Desk {
    transport: Arc<dyn Transport>,
    source: Source,
    options: DeskOptions,
    pending: Pending,
    state: watch::Sender<State>,
    /// Started at the first request.
    task: OnceLock<Task>,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody has asked anything yet.
    Unused,
    /// The broker has confirmed the consumer of this queue. Each time is another life: what was in the
    /// queue before went with it.
    Open {
        queue: Text,
        life: u64,
    },
    /// There is no consumer, with the reason; it is being made.
    Down {
        reason: Arc<str>,
        life: u64,
    },
    Closed,
}

/// Ended with the desk.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An address for a reply, and the life of the queue in which it was given.
#[derive(Clone, Debug)]
pub(super) struct ReplyAddress {
    pub(super) queue: Text,
    life: u64,
}

impl Desk {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        source: Source,
        options: DeskOptions,
        pending: Pending,
    ) -> Arc<Self> {
        let state = watch::Sender::new(State::Unused);
        Arc::new(Self { transport, source, options, pending, state, task: OnceLock::new() })
    }

    /// Gives the address as soon as the broker has confirmed its consumer; nothing once it is closed.
    pub(super) async fn address(self: &Arc<Self>) -> Option<ReplyAddress> {
        if let State::Open { queue, life } = &*self.state.borrow() {
            return Some(ReplyAddress { queue: queue.clone(), life: *life });
        }
        self.start();
        let mut state = self.state.subscribe();
        let usable = |state: &State| matches!(state, State::Open { .. } | State::Closed);
        match &*state.wait_for(usable).await.ok()? {
            State::Open { queue, life } => Some(ReplyAddress { queue: queue.clone(), life: *life }),
            _ => None,
        }
    }

    /// Why a reply to this address may have been lost; nothing if the queue has been there all the time.
    pub(super) fn loss_since(&self, address: &ReplyAddress) -> Option<String> {
        match &*self.state.borrow() {
            State::Open { life, .. } if *life == address.life => None,
            State::Open { .. } => {
                Some("the reply queue was lost meanwhile, and made again".to_owned())
            }
            State::Down { reason, .. } => Some(format!("the reply queue is lost: {reason}")),
            State::Closed => Some("this process stops".to_owned()),
            State::Unused => None,
        }
    }

    /// Why there is no address now, for an error.
    pub(super) fn absence(&self) -> String {
        match &*self.state.borrow() {
            State::Down { reason, .. } => format!("there is no reply queue: {reason}"),
            State::Closed => "this process stops".to_owned(),
            State::Open { .. } | State::Unused => "there was no reply queue in time".to_owned(),
        }
    }

    /// What it shows of itself; nothing if nobody has asked anything yet.
    pub(super) fn readiness(&self) -> Option<Readiness> {
        match &*self.state.borrow() {
            State::Unused => None,
            State::Open { .. } => Some(Readiness::Consuming),
            State::Down { life: 0, .. } => Some(Readiness::Starting),
            State::Down { reason, .. } => Some(Readiness::Unready(reason.to_string())),
            State::Closed => Some(Readiness::Stopped),
        }
    }

    /// Ends all waiting; what comes later is not taken.
    pub(super) fn close(&self) {
        self.state.send_replace(State::Closed);
        self.pending.close();
    }

    fn start(self: &Arc<Self>) {
        self.task.get_or_init(|| {
            self.state.send_if_modified(|state| {
                let unused = matches!(state, State::Unused);
                if unused {
                    *state = State::Down { reason: "it is being made".into(), life: 0 };
                }
                unused
            });
            let keeper = Keeper {
                transport: Arc::clone(&self.transport),
                source: self.source.clone(),
                options: self.options.clone(),
                pending: self.pending.clone(),
                state: self.state.clone(),
            };
            Task(tokio::spawn(keeper.run()).abort_handle())
        });
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// The task's own part: the desk itself belongs to those who ask, and the task ends with it.
struct Keeper {
    transport: Arc<dyn Transport>,
    source: Source,
    options: DeskOptions,
    pending: Pending,
    state: watch::Sender<State>,
}

impl Keeper {
    async fn run(self) {
        let mut closed = self.state.subscribe();
        tokio::select! {
            () = self.keep() => {}
            _ = closed.wait_for(|state| matches!(state, State::Closed)) => {}
        }
    }

    /// Has a reply queue, and has it again after every loss.
    async fn keep(&self) {
        let mut queue = self.fresh_name();
        let (mut failures, mut life, mut held_since): (u32, u64, Option<Instant>) = (0, 0, None);
        loop {
            let error = match self.open(&queue).await {
                Ok(subscription) => {
                    (failures, held_since, life) = (0, None, life + 1);
                    self.life(&queue, life, subscription).await
                }
                Err(error) => {
                    if self.transport.health().consume.is_up() {
                        held_since.get_or_insert_with(Instant::now);
                    }
                    error
                }
            };
            failures = failures.saturating_add(1);
            let wait = BACKOFF.wait(failures);
            tracing::warn!(%queue, %error, ?wait, "no reply queue; requests wait for it");
            self.show(State::Down { reason: error.to_string().into(), life });
            let given_up = |since: Instant| self.pending.len() == 0 || since.elapsed() >= HELD_MAX;
            if held_since.is_some_and(given_up) {
                // Replies to the old name are lost, and who waits for one is told that at its deadline.
                let old = std::mem::replace(&mut queue, self.fresh_name());
                self.forget(&old).await;
                held_since = None;
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn fresh_name(&self) -> Text {
        format!("rpl.{}", self.source.id()).into()
    }

    async fn open(&self, queue: &str) -> Result<Box<dyn Subscription>, TransportError> {
        let mut topology = Topology::default();
        topology.queue(Queue::new(queue).kind(QueueKind::Exclusive));
        self.transport.declare(&topology).await?;
        // The queue ends with the connection: what is not acknowledged would come to nobody.
        let options = SubscribeOptions::new(queue, PREFETCH).auto_ack();
        let options = options.consumer(&self.options.consumer);
        self.transport.subscribe(options).await
    }

    /// It is exclusive, so the broker removes it with its connection; this is for the transport's memory.
    async fn forget(&self, queue: &str) {
        if let Err(error) = self.transport.delete_queue(queue).await {
            tracing::debug!(queue, %error, "an old reply queue could not be removed; it goes with its connection");
        }
    }

    /// One life of the queue: takes replies until it is lost, or the broker has forgotten who takes them.
    async fn life(
        &self,
        queue: &Text,
        life: u64,
        subscription: Box<dyn Subscription>,
    ) -> TransportError {
        let activity = Activity::new();
        activity.confirmed();
        tokio::select! {
            biased;
            error = self.receive(subscription, &activity) => error,
            error = self.watch(queue, life) => error,
            error = stalled(&*self.transport, queue, &activity, self.options.stall_after) => error,
        }
    }

    /// Says that the queue is there, and resolves if it is found to be gone.
    async fn watch(&self, queue: &Text, life: u64) -> TransportError {
        let open = State::Open { queue: queue.clone(), life };
        if life == 1 {
            self.show(open);
            return pending().await;
        }
        for (look, wait) in LOOKS.into_iter().enumerate() {
            tokio::time::sleep(wait).await;
            if matches!(self.transport.queue_stats(queue).await, Ok(None)) {
                let text = format!("the broker removed `{queue}` with the connection from before");
                return TransportError::new(TransportErrorKind::Lost, text);
            }
            if look == 0 {
                self.show(open.clone());
            }
        }
        pending().await
    }

    async fn receive(
        &self,
        mut subscription: Box<dyn Subscription>,
        activity: &Activity,
    ) -> TransportError {
        activity.turn(false, true, 0);
        loop {
            match subscription.next().await {
                Intake::Delivery(delivery) => {
                    let tag = delivery.tag;
                    activity.turn(true, true, 0);
                    self.pending.give(delivery);
                    // Crash window: given and not acknowledged. The queue ends with the process, too.
                    subscription.settle(tag, Settlement::Ack);
                }
                Intake::Lost(error) => return error,
                Intake::Ended => {
                    let text = "the subscription of the reply queue ended";
                    return TransportError::new(TransportErrorKind::Lost, text);
                }
            }
        }
    }

    fn show(&self, new: State) {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = new;
            }
            open
        });
    }
}
