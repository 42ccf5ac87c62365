//! A connection that is kept: made again without end when it is lost.
//!
//! Two of them serve a transport. One publishes and declares, one consumes: a broker that is low on
//! memory stops reading from connections that publish, and acknowledgements must not wait behind.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::Event;
use tokio::sync::watch;

use super::confirms::Lane;
use super::connect::Established;
use super::failover::Brokers;
use super::failure::{cause, within};
use crate::transport::{TransportError, TransportErrorKind};

/// How often a connection is looked at, beside the library's own events.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publish,
    Consume,
}

/// Pauses and limits of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkOptions {
    pub(super) call_timeout: Duration,
    pub(super) publish_timeout: Duration,
    /// How many messages may be in flight.
    pub(super) publish_places: u32,
    pub(super) close_timeout: Duration,
    pub(super) delay_min: Duration,
    pub(super) delay_max: Duration,
}

/// A connection that works.
pub(super) struct Live {
    pub(super) established: Arc<Established>,
    /// The channel that publishes; there is none on the consuming side.
    pub(super) lane: Option<Arc<Lane>>,
}

#[derive(Clone)]
pub(super) enum LinkState {
    Up(Arc<Live>),
    Down(Arc<str>),
    Closed,
}

/// A handle to the task that keeps a connection.
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
    stop: watch::Sender<bool>,
    place: Arc<str>,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

impl Link {
    /// Starts to keep a connection that was just made.
    pub(super) fn start(
        brokers: Arc<Brokers>,
        role: Role,
        options: LinkOptions,
        first: Established,
    ) -> Self {
        let place: Arc<str> = brokers.place().into();
        let (sender, state) = watch::channel(LinkState::Down("connecting".into()));
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper { brokers, role, options, state: sender };
        tokio::spawn(keeper.run(first, stopped));
        Self { state, stop, place }
    }

    /// The state now.
    pub(super) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Host and port of every broker that it may lead to, for people.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Says true once the owner closes it.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// The connection, waiting for one that is being made.
    pub(super) async fn live(&self, limit: Duration) -> Result<Arc<Live>, TransportError> {
        match tokio::time::timeout(limit, self.next_live(|_| true)).await {
            Ok(Some(live)) => Ok(live),
            Ok(None) => Err(closed()),
            Err(_) => Err(self.unreachable(limit)),
        }
    }

    /// The connection, if it is there and to the caller's liking.
    pub(super) fn live_now(&self, good: impl Fn(&Live) -> bool) -> Option<Arc<Live>> {
        match &*self.state.borrow() {
            LinkState::Up(live) if good(live) => Some(Arc::clone(live)),
            _ => None,
        }
    }

    /// The connection as soon as it is there and to the caller's liking; nothing once it is closed.
    pub(super) async fn next_live(&self, good: impl Fn(&Live) -> bool) -> Option<Arc<Live>> {
        if let Some(live) = self.live_now(&good) {
            return Some(live);
        }
        let mut state = self.state.clone();
        let found = state
            .wait_for(|state| match state {
                LinkState::Up(live) => good(live),
                LinkState::Down(_) => false,
                LinkState::Closed => true,
            })
            .await;
        match found.as_deref() {
            Ok(LinkState::Up(live)) => Some(Arc::clone(live)),
            _ => None,
        }
    }

    /// Asks the task to close the connection, and waits until it has.
    pub(super) async fn close(&self, limit: Duration) {
        self.stop.send_replace(true);
        let mut state = self.state.clone();
        let closed = state.wait_for(|state| matches!(state, LinkState::Closed));
        if tokio::time::timeout(limit, closed).await.is_err() {
            tracing::warn!(broker = %self.place, "the connection did not close in time");
        }
    }

    fn unreachable(&self, limit: Duration) -> TransportError {
        let reason = match self.state() {
            LinkState::Down(reason) => reason,
            LinkState::Up(_) | LinkState::Closed => "it is being made again".into(),
        };
        TransportError::new(
            TransportErrorKind::Unreachable,
            format!("no connection to RabbitMQ at {} within {limit:?}: {reason}", self.place),
        )
    }
}

/// The error of everything that is asked of a closed transport.
pub(super) fn closed() -> TransportError {
    TransportError::new(TransportErrorKind::Closed, "the transport is closed")
}

/// The task behind a link.
struct Keeper {
    brokers: Arc<Brokers>,
    role: Role,
    options: LinkOptions,
    state: watch::Sender<LinkState>,
}

impl Keeper {
    async fn run(self, first: Established, mut stop: watch::Receiver<bool>) {
        let mut established = Arc::new(first);
        loop {
            let place = Arc::clone(&established.place);
            tracing::info!(broker = %place, connection = self.role.name(), "connected to RabbitMQ");
            let reason = tokio::select! {
                reason = self.serve(&established) => reason,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            tracing::warn!(broker = %place, connection = self.role.name(), %reason, "lost the connection to RabbitMQ");
            self.state.send_replace(LinkState::Down(reason.into()));
            // The next one first: the broker that was just lost is the least likely to be there.
            let next = established.at + 1;
            drop(established);
            established = tokio::select! {
                again = self.reconnect(next) => Arc::new(again),
                _ = stop.wait_for(|stop| *stop) => {
                    self.state.send_replace(LinkState::Closed);
                    return;
                }
            };
        }
        let limit = self.options.close_timeout;
        let closing = established.connection.close(200, "OK".into());
        if let Err(error) = within(limit, "close the connection", closing).await {
            tracing::debug!(broker = %established.place, connection = self.role.name(), %error, "closed without an answer");
        }
        if let LinkState::Up(live) = self.state.send_replace(LinkState::Closed)
            && let Some(lane) = &live.lane
        {
            lane.bury();
        }
    }

    /// Offers the connection to callers until it is lost, and says why it is.
    async fn serve(&self, established: &Arc<Established>) -> String {
        let mut events = pin!(established.connection.events_listener());
        let up = |lane| {
            let established = Arc::clone(established);
            self.state.send_replace(LinkState::Up(Arc::new(Live { established, lane })));
        };
        if self.role == Role::Consume {
            up(None);
            return self.lost(established, events.as_mut()).await;
        }
        loop {
            let LinkOptions { call_timeout, publish_timeout, publish_places, .. } = self.options;
            let connection = &established.connection;
            let open = Lane::open(connection, publish_timeout, publish_places);
            let lane = match within(call_timeout, "open a channel", open).await {
                Ok(lane) => Arc::new(lane),
                Err(error) => return error.to_string(),
            };
            up(Some(Arc::clone(&lane)));
            let reason = tokio::select! {
                reason = lane.drive() => {
                    tracing::warn!(broker = %established.place, %reason, "RabbitMQ closed the channel that publishes; opening another");
                    None
                }
                reason = self.lost(established, events.as_mut()) => Some(reason),
                () = lane.retired() => {
                    tracing::info!(broker = %established.place, "opening another channel: the one that publishes is refused what a fresh one is not");
                    // Whoever waits on it still gets the broker's verdict. A lost connection ends all
                    // its confirms with an error, and so the task.
                    tokio::spawn(async move { lane.wind_up().await });
                    continue;
                }
            };
            // Whoever waits on this channel must hear of its end, to publish on the next one.
            lane.bury();
            if let Some(reason) = reason {
                return reason;
            }
            if !connection.status().connected() {
                return self.lost(established, events.as_mut()).await;
            }
        }
    }

    /// Waits until the connection is gone.
    async fn lost(
        &self,
        established: &Established,
        mut events: std::pin::Pin<&mut (impl Stream<Item = Event> + Send)>,
    ) -> String {
        let mut check = tokio::time::interval(CHECK_EVERY);
        let mut reason = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(why)) => tracing::warn!(
                        broker = %established.place, connection = self.role.name(), %why,
                        "RabbitMQ takes no messages for now"
                    ),
                    Some(Event::ConnectionUnblocked) => tracing::info!(
                        broker = %established.place, connection = self.role.name(), "RabbitMQ takes messages again"
                    ),
                    // Errors of channels come here too; only the connection's own end counts.
                    Some(Event::Error(error)) => reason = Some(cause(&error)),
                    Some(_) => {}
                    None => return "the connection is closed".to_owned(),
                },
                _ = check.tick() => {}
            }
            if !established.connection.status().connected() {
                return reason.unwrap_or_else(|| "the connection is closed".to_owned());
            }
        }
    }

    /// Tries all brokers without end, with growing pauses between the rounds.
    async fn reconnect(&self, next: usize) -> Established {
        let mut delay = self.options.delay_min;
        loop {
            // Jitter, so that a broker that comes back is not met by all services at once.
            tokio::time::sleep(delay.mul_f64(rand::random_range(0.5..1.0))).await;
            match self.brokers.establish(self.role.name(), next).await {
                Ok(established) => return established,
                Err(error) => {
                    tracing::warn!(connection = self.role.name(), %error, "failed to connect again; trying on");
                    self.state.send_replace(LinkState::Down(error.to_string().into()));
                }
            }
            delay = (delay * 2).min(self.options.delay_max);
        }
    }
}
