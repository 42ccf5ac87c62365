//! All accounts of a process.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::account::{Account, Place};
use super::fate::Fate;
use super::journal::{Journal, LedgerError, SNAPSHOT, Snapshot};
use crate::contract::acknowledgement::ACKNOWLEDGEMENT;
use crate::contract::envelope::format_timestamp;
use crate::contract::refusal::ERROR_REPLY;
use crate::contract::{Source, registered_messages};

/// The type of publishes whose own type is not registered in this program.
const OTHER_TYPES: &str = "-";

/// Where a ledger is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerOptions {
    /// The folder; without it the ledger lives in memory only.
    pub dir: Option<PathBuf>,
    /// Whether a line is written for every fate, instead of the sums from time to time.
    pub full: bool,
    /// The service.
    pub service: String,
    /// The process of the service.
    pub instance: String,
}

impl LedgerOptions {
    /// A ledger in memory.
    #[must_use]
    pub fn new(service: impl Into<String>, instance: impl Into<String>) -> Self {
        Self { dir: None, full: false, service: service.into(), instance: instance.into() }
    }

    /// Keeps it in a folder.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Writes a line for every fate.
    #[must_use]
    pub const fn full(mut self, full: bool) -> Self {
        self.full = full;
        self
    }

    /// The file of this process. A service's name may hold what a file's name may not.
    pub(super) fn path(&self, ending: &str) -> Option<PathBuf> {
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String =
            format!("{}.{}.{ending}", self.service, self.instance).chars().map(plain).collect();
        self.dir.as_ref().map(|dir| dir.join(name))
    }
}

/// How often something became of the messages of a route or a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sum {
    /// The queue of deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The handler of deliveries; `-` where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// The type of publishes; `-` for types that are not registered in this program.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// What became of them.
    pub fate: Fate,
    /// Why, as a word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often.
    pub count: u64,
}

/// What became of every message that this process took or published. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: LedgerOptions,
    source: Source,
    journal: Option<Arc<Journal>>,
    /// Locked at boot and for reading; recording goes through the accounts themselves.
    routes: Mutex<BTreeMap<Place, Arc<Account>>>,
    /// Never changed: a publish finds its account without a lock.
    types: HashMap<&'static str, Account, RandomState>,
    other: Account,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::with(LedgerOptions::default(), Source::default(), None)
    }
}

impl Ledger {
    /// Opens a ledger; makes its folder and file where they are wanted.
    ///
    /// # Errors
    /// If they cannot be written, or `full` is set without a folder.
    pub fn open(options: LedgerOptions, source: Source) -> Result<Self, LedgerError> {
        if let Some(dir) = &options.dir {
            fs::create_dir_all(dir)
                .map_err(|error| LedgerError::io("cannot be made", dir, error))?;
        }
        let journal =
            if options.full { Some(Journal::open(&options, source.clone())?) } else { None };
        let ledger = Self::with(options, source, journal.map(Arc::new));
        // A folder that cannot be written is found at boot and not five seconds later.
        ledger.snapshot()?;
        Ok(ledger)
    }

    fn with(options: LedgerOptions, source: Source, journal: Option<Arc<Journal>>) -> Self {
        let account = |name: &str| Account::new(Place::Type(name.to_owned()), journal.clone());
        let names = registered_messages().into_iter().map(|info| info.name);
        let types =
            names.chain([ERROR_REPLY, ACKNOWLEDGEMENT]).map(|name| (name, account(name))).collect();
        let other = account(OTHER_TYPES);
        Self(Arc::new(Inner { options, source, journal, routes: Mutex::default(), types, other }))
    }

    /// The account of a handler's queue; `-` is the handler of messages for which there is none.
    #[must_use]
    pub fn route(&self, queue: &str, handler: &str) -> Arc<Account> {
        let place = Place::Route { queue: queue.to_owned(), handler: handler.to_owned() };
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Account::new(place.clone(), self.0.journal.clone()));
        Arc::clone(routes.entry(place.clone()).or_insert_with(make))
    }

    /// The account of publishes of a type.
    #[must_use]
    pub fn of_type(&self, message_type: &str) -> &Account {
        self.0.types.get(message_type).unwrap_or(&self.0.other)
    }

    /// Every fate that was recorded in this process, by queue and handler, then by type.
    #[must_use]
    pub fn sums(&self) -> Vec<Sum> {
        let routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut types: Vec<&Account> = self.0.types.values().chain([&self.0.other]).collect();
        types.sort_by_key(|account| account.place());
        routes.values().map(Arc::as_ref).chain(types).flat_map(Account::sums).collect()
    }

    /// How often a fate was recorded in this process.
    #[must_use]
    pub fn count(&self, fate: Fate) -> u64 {
        self.sums().iter().filter(|sum| sum.fate == fate).map(|sum| sum.count).sum()
    }

    /// True if sums are to be written from time to time: a folder, and not every fate in it.
    #[must_use]
    pub fn keeps_snapshots(&self) -> bool {
        self.0.options.dir.is_some() && self.0.journal.is_none()
    }

    /// Writes the sums to the file of this process, if that is how the ledger is kept.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn snapshot(&self) -> Result<(), LedgerError> {
        let options = &self.0.options;
        let Some(path) = options.path(SNAPSHOT).filter(|_| self.keeps_snapshots()) else {
            return Ok(());
        };
        let time = format_timestamp(self.0.source.now());
        let (service, instance) = (options.service.clone(), options.instance.clone());
        Snapshot { time, service, instance, sums: self.sums() }.write(&path)
    }

    /// Lines of a full ledger that could not be written, for example on a full disk.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.0.journal.as_ref().map_or(0, |journal| journal.unwritten())
    }
}
