//! What can be seen of a running service: the fate of every message.
//!
//! In: fates, recorded where they are decided. Out: sums by queue, handler and fate in memory, and files
//! that survive the process where `ledger.dir` is set. `publish` and `consume` record; the command
//! `ledger` reads. It decides nothing and never holds a payload.

mod account;
mod fate;
mod journal;
mod ledger;
mod report;

pub use account::{Account, Note};
pub use fate::Fate;
pub use journal::{LedgerError, Line};
pub use ledger::{Ledger, LedgerOptions, Sum};
pub use report::{LedgerReport, ReportRow};
