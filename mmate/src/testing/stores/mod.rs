//! What every store of workflow instances must do, as a list of behaviours that any store can be run against.
//!
//! In: a function that opens a store, each time the same data. Out: a [`Report`]. The tests of a store call it, yours
//! if you write one ([`WorkflowStore`]).
//!
//! The data must be empty at first, and be used by nothing else meanwhile: some calls concern all instances that
//! there are. Every wait has a deadline by tokio's clock; nothing waits longer than for a lease of some milliseconds.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::Arc;
//! use mmate::contract::Source;
//! use mmate::store::{MemoryStore, WorkflowStore};
//! use mmate::testing::stores;
//!
//! let store = MemoryStore::new(Source::system());
//! let open = move || {
//!     let store: Arc<dyn WorkflowStore> = Arc::new(store.clone());
//!     async move { Ok(store) }
//! };
//! let report = stores::run(open, "history").await;
//! assert!(report.is_ok(), "{report}");
//! # }
//! ```

mod bench;
mod claiming;
mod creating;
mod due;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
mod finding;
mod mail;
mod many;
mod purging;
mod saving;
#[cfg(test)]
mod tests;
mod wishing;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

pub use self::bench::Bench;
use super::conformance::{Failure, Outcome, Report};
use crate::store::{StoreError, WorkflowStore};

/// The longest that one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// What a check returns.
type Checked = Result<(), Failure>;

type Check = for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = Checked> + Send + 'a>>;

/// Something that a store must do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Behaviour {
    /// A sentence in snake_case.
    pub name: &'static str,
    check: Check,
}

/// All behaviours, in the order in which they are run.
#[must_use]
pub fn behaviours() -> &'static [Behaviour] {
    static ALL: LazyLock<Vec<Behaviour>> = LazyLock::new(|| {
        [
            creating::BEHAVIOURS,
            claiming::BEHAVIOURS,
            saving::BEHAVIOURS,
            wishing::BEHAVIOURS,
            due::BEHAVIOURS,
            finding::BEHAVIOURS,
            mail::BEHAVIOURS,
            purging::BEHAVIOURS,
            many::BEHAVIOURS,
        ]
        .concat()
    });
    &ALL
}

/// Runs all behaviours whose name contains `filter`, one after another; all of them with `""`.
///
/// `open` gives a store with the same data every time, as another process would.
pub async fn run<F, Fut>(open: F, filter: &str) -> Report
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Arc<dyn WorkflowStore>, StoreError>> + Send + 'static,
{
    let open: bench::Open = Arc::new(move || Box::pin(open()));
    let mut report = Report::default();
    let wanted = behaviours().iter().filter(|it| it.name.contains(filter));
    for (behaviour, number) in wanted.zip(1..) {
        let outcome = match Bench::new(Arc::clone(&open), number).await {
            Ok(bench) => verdict(behaviour, &bench).await,
            Err(failure) => Outcome::Failed(failure),
        };
        report.add(behaviour.name, outcome);
    }
    report
}

async fn verdict(behaviour: &Behaviour, bench: &Bench) -> Outcome {
    // A store that panics fails the behaviour, not the run.
    let check = AssertUnwindSafe((behaviour.check)(bench)).catch_unwind();
    let outcome = match timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(Ok(()))) => Outcome::Passed,
        Ok(Ok(Err(failure))) => Outcome::Failed(failure),
        Ok(Err(_)) => Outcome::Failed(Failure::new("it panicked")),
        Err(_) => Outcome::Failed(Failure::new(format!(
            "it was not done within {} s",
            CHECK_TIMEOUT.as_secs()
        ))),
    };
    bench.close().await;
    outcome
}

/// Lists the checks of a file as behaviours of the same names.
macro_rules! list {
    ($($check:ident),+ $(,)?) => {
        pub(super) const BEHAVIOURS: &[super::Behaviour] = &[$(super::Behaviour {
            name: stringify!($check),
            check: |bench| Box::pin($check(bench)),
        }),+];
    };
}
use list;

/// Fails with a reason unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::testing::conformance::Failure::new(format!($($reason)+)));
        }
    };
}
use ensure;

/// Fails with both sides unless they are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $what:expr) => {
        let (found, expected) = (&$found, &$expected);
        if found != expected {
            let text = format!("{}: {found:?} instead of {expected:?}", $what);
            return Err($crate::testing::conformance::Failure::new(text));
        }
    };
}
use ensure_eq;

/// Fails with what is there unless there is nothing.
fn ensure_empty<T: std::fmt::Debug>(found: &[T], what: &str) -> Checked {
    ensure!(found.is_empty(), "{what}: {found:?} instead of nothing");
    Ok(())
}
