//! What every transport must do, as a list of behaviours that any transport can be run against.
//!
//! In: a function that connects. Out: a [`Report`]. The tests of a transport call it; the transport
//! supplies that function and its [`Capabilities`](crate::transport::Capabilities), nothing more.
//! What it does not claim is skipped and said so.
//!
//! Every wait has a deadline by tokio's clock, so the list runs in no time on a paused clock where
//! the broker is in memory, and in real time against a real one. Queues have names of their own for
//! every check and are removed after it. The three exchanges are shared and stay, because a
//! transport cannot remove exchanges; the routing keys differ instead.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::Arc;
//! use mmate::testing::conformance;
//! use mmate::transport::{Transport, memory::MemoryTransport};
//!
//! let broker = MemoryTransport::new();
//! let connect = move || {
//!     let transport: Arc<dyn Transport> = Arc::new(broker.clone());
//!     async move { Ok(transport) }
//! };
//! let report = conformance::run(connect, "unroutable").await;
//! assert!(report.is_ok(), "{report}");
//! # }
//! ```

mod behaviour;
mod bench;
mod closing;
mod consumer;
mod consuming;
mod declaring;
mod delaying;
#[cfg(test)]
mod doubles;
mod limiting;
mod properties;
mod publishing;
mod report;
mod routing;
mod settling;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

pub use self::behaviour::{Behaviour, Failure, behaviours};
pub use self::bench::Bench;
pub use self::report::{Outcome, Report};
use crate::transport::{Transport, TransportError};

/// The longest that one check may take, its cleaning up not included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs all behaviours whose name contains `filter`, one after another; all of them with `""`.
///
/// `connect` makes a new connection to the same broker every time.
pub async fn run<F, Fut>(connect: F, filter: &str) -> Report
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Arc<dyn Transport>, TransportError>> + Send + 'static,
{
    let connect: bench::Connect = Arc::new(move || Box::pin(connect()));
    let mut report = Report::default();
    let wanted = behaviours().iter().filter(|it| it.name.contains(filter));
    for (number, behaviour) in wanted.enumerate() {
        let outcome = match Bench::new(Arc::clone(&connect), number).await {
            Ok(bench) => check(behaviour, &bench).await,
            Err(failure) => Outcome::Failed(failure),
        };
        report.add(behaviour.name, outcome);
    }
    report
}

async fn check(behaviour: &Behaviour, bench: &Bench) -> Outcome {
    let outcome = match bench.lacks(behaviour.needs) {
        Some(capability) => Outcome::Skipped(capability),
        None => verdict(behaviour, bench).await,
    };
    match (bench.clean_up().await, outcome) {
        (Err(failure), Outcome::Passed) => Outcome::Failed(failure),
        (_, outcome) => outcome,
    }
}

async fn verdict(behaviour: &Behaviour, bench: &Bench) -> Outcome {
    // A transport that panics fails the behaviour, not the run.
    let check = AssertUnwindSafe((behaviour.check)(bench)).catch_unwind();
    match timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(Ok(()))) => Outcome::Passed,
        Ok(Ok(Err(failure))) => Outcome::Failed(failure),
        Ok(Err(_)) => Outcome::Failed(Failure::new("it panicked")),
        Err(_) => Outcome::Failed(Failure::new(format!(
            "it was not done within {} s",
            CHECK_TIMEOUT.as_secs()
        ))),
    }
}
