//! The places of workers: each has a store and queues of its own.

use std::fmt;
use std::sync::Arc;

use mmate::contract::Source;
use mmate::store::MemoryStore;
use mmate::transport::memory::MemoryTransport;
use mmate_tests::postgres::{execute, with_database, with_empty_database};
use mmate_tests::unique;

use super::place::{Carrying, Keeping, Line, Place, alone};
use crate::stores::Folder;

/// How many schedules are tried beside each other.
const WORKERS: usize = 8;

const CONFIG: &[(&str, &str)] = &[
    // Longer than anything takes here: no process is taken for dead that is not. What a process claims while it dies waits for it.
    ("workflows.lease", "3s"),
    // Nobody looks after instances: what a process leaves behind must be enough for the next.
    ("workflows.lost_after", "1h"),
    // They are made at once; what quorum queues add is tested elsewhere.
    ("queues.type", "classic"),
];

/// The same for one that waits until a lease is over.
pub(super) const WAITING: &[(&str, &str)] = &[
    // Shorter than the second after which somebody looks again whether an instance is free.
    ("workflows.lease", "900ms"),
    ("workflows.lost_after", "1h"),
    ("queues.type", "classic"),
];

/// What carries the messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broker {
    /// A broker in memory that is gone with each process.
    Forgetful,
    /// One that outlives them, as if it were in another process.
    Kept,
    RabbitMq,
}

/// Where instances are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Store {
    /// In memory that all processes of a place share, as if it were a database.
    Memory,
    Sqlite,
    Postgres,
    Nowhere,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forgetful => "a broker in memory that forgets",
            Self::Kept => "a broker in memory",
            Self::RabbitMq => "rabbitmq",
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "with a store in memory",
            Self::Sqlite => "with sqlite",
            Self::Postgres => "with postgres",
            Self::Nowhere => "without a store",
        })
    }
}

fn place(keeping: Keeping, broker: Broker) -> Place {
    let carrying = match broker {
        Broker::Forgetful => Carrying::Forgetful,
        Broker::Kept => Carrying::Kept(MemoryTransport::new()),
        Broker::RabbitMq => Carrying::RabbitMq(Line::new()),
    };
    Place { name: unique("crashes"), keeping, carrying, source: Source::system(), config: CONFIG }
}

/// Does something with a place for each worker.
pub(super) fn with_places<T>(broker: Broker, store: Store, work: impl FnOnce(&[Place]) -> T) -> T {
    let each = |keeping: &dyn Fn() -> Keeping| -> Vec<Place> {
        (0..WORKERS).map(|_| place(keeping(), broker)).collect()
    };
    match store {
        Store::Memory => {
            work(&each(&|| Keeping::Shared(Arc::new(MemoryStore::new(Source::system())))))
        }
        Store::Nowhere => work(&each(&|| Keeping::Nowhere)),
        Store::Sqlite => {
            let folders: Vec<Folder> = (0..WORKERS).map(|_| Folder::new()).collect();
            let by_url = |folder: &Folder| place(Keeping::Url(folder.url()), broker);
            work(&folders.iter().map(by_url).collect::<Vec<_>>())
        }
        Store::Postgres => on_postgres(broker, work),
    }
}

fn on_postgres<T>(broker: Broker, work: impl FnOnce(&[Place]) -> T) -> T {
    let mut done = None;
    let out = &mut done;
    alone(with_empty_database(|url| async move {
        let name = |worker| unique("mmate_crashes").replace('-', "_") + &format!("_{worker}");
        let names: Vec<String> = (0..WORKERS).map(name).collect();
        for name in &names {
            execute(&url, &[&format!("create database {name}")]).await;
        }
        let by_url = |name: &String| {
            place(Keeping::Url(with_database(&url, name) + "?connections=3"), broker)
        };
        // Nothing else is in this runtime.
        *out = Some(work(&names.iter().map(by_url).collect::<Vec<_>>()));
        for name in &names {
            execute(&url, &[&format!("drop database {name} with (force)")]).await;
        }
    }));
    done.expect("the work was done")
}
