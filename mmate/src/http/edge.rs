//! Edge and app stop together: first nobody new comes in, then everybody gets an answer, then the app ends.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::runtime::{Running, ShutdownReport, Signals};

/// Listens on an address; port 0 lets the system choose one (`listener.local_addr()`).
///
/// # Errors
/// The address cannot be listened on: it is taken, it is not this machine's, or it takes rights.
pub async fn bind(address: impl ToSocketAddrs + fmt::Display) -> Result<TcpListener> {
    let name = address.to_string();
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Error::Command(format!("cannot listen on `{name}`: {error}")))
}

/// Serves HTTP beside a running app until the process is asked to stop (Ctrl-C or SIGTERM), then stops both
/// in order; see [`Edge`]. Signals count from the call on, not only from the first await.
///
/// ```no_run
/// # use mmate::http::{self, axum::Router};
/// # async fn example(running: mmate::runtime::Running, routes: Router) -> mmate::Result {
/// let listener = http::bind("127.0.0.1:8080").await?;
/// let report = http::serve(running, listener, routes).await;
/// println!("{report}");
/// # Ok(()) }
/// ```
pub fn serve(running: Running, listener: TcpListener, routes: Router) -> Edge {
    Edge::new(running, listener, routes, Stop::Signals(Signals::install()))
}

/// The same until `stop` ends, instead of by signals: for tests, and for programs with signals of their own.
pub fn serve_until(
    running: Running,
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Edge {
    Edge::new(running, listener, routes, Stop::Once(Some(Box::pin(stop))))
}

/// An HTTP edge and the app behind it; awaiting it serves until the stop, and gives the app's report.
///
/// The stop goes in this order:
///
/// 1. `GET /health/ready` says 503. For [`Edge::linger`] requests are still accepted.
/// 2. The listener is closed. Requests in flight go on to their answers, for at most `shutdown.drain` (20 s by default);
///    idle connections are closed. The bridge is open and handlers run, because these requests wait for them.
/// 3. The app stops as by [`Running::stop`]. Requests that wait even now are told so, with 504.
///
/// All together takes at most `shutdown.force` (60 s by default). A second signal ends it at once; dropping the future
/// does so, too.
#[must_use = "an edge serves nothing until it is awaited"]
pub struct Edge {
    running: Running,
    listener: TcpListener,
    routes: Router,
    stop: Stop,
    linger: Duration,
}

enum Stop {
    Signals(Signals),
    /// Nothing once it has ended.
    Once(Option<Pin<Box<dyn Future<Output = ()> + Send>>>),
}

impl Stop {
    async fn next(&mut self) {
        match self {
            Self::Signals(signals) => signals.next().await,
            Self::Once(Some(stop)) => {
                stop.await;
                *self = Self::Once(None);
            }
            Self::Once(None) => std::future::pending().await,
        }
    }
}

impl Edge {
    const fn new(running: Running, listener: TcpListener, routes: Router, stop: Stop) -> Self {
        Self { running, listener, routes, stop, linger: Duration::ZERO }
    }

    /// Sets for how long requests are still accepted after readiness has said 503, so that a load balancer
    /// that asks now and then has stopped sending any when the listener closes. Not at all by default.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    async fn run(self) -> ShutdownReport {
        let Self { running, listener, routes, mut stop, linger } = self;
        let (close, closed) = oneshot::channel::<()>();
        let serving = axum::serve(listener, routes).with_graceful_shutdown(async {
            // An error is the sender gone, which means the same.
            let _ = closed.await;
        });
        let mut serving = pin!(serving.into_future());
        tokio::select! {
            _ = &mut serving => {}
            () = stop.next() => {}
        }
        tracing::info!("asked to stop; letting requests and handlers end (again to end at once)");
        let drain = running.drain_timeout();
        let requests = async {
            // It does not end before it is closed, so this is a wait during which it serves.
            let _ = timeout(linger, &mut serving).await;
            drop(close);
            if timeout(drain, &mut serving).await.is_err() {
                tracing::warn!(
                    ?drain,
                    "HTTP requests are still in flight (`shutdown.drain`); the app stops all the same"
                );
            }
        };
        running.stop_after(requests, stop.next()).await
    }
}

impl IntoFuture for Edge {
    type Output = ShutdownReport;
    type IntoFuture = Pin<Box<dyn Future<Output = ShutdownReport> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("listener", &self.listener)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}
