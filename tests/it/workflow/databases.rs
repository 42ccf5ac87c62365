//! The same on real databases and a real broker, in real time.

use super::chosen::{CHOSEN, ON_RABBITMQ, WITHOUT_STORE};
use super::place::Place;
use super::places::{Broker, Store, with_places};
use super::schedules::say;
use super::story::Planned;
use super::workers::exhaust;

/// Kills the process of these workflows at every checkpoint once, and at every pair of checkpoints of two lives.
fn killed_anywhere(broker: Broker, store: Store, seeds: &[u64]) {
    let tell = |seed: &u64| {
        let seed = *seed;
        move |place: &Place| Planned::of(seed, Some(format!("{}.", place.name)))
    };
    let stories: Vec<_> = seeds.iter().map(tell).collect();
    // On RabbitMQ a message comes twice now and then, and lives differ in how many checkpoints they pass.
    let steady = matches!(broker, Broker::Forgetful);
    let (tried, waited) = with_places(broker, store, |places| exhaust(places, &stories, 2, steady));
    say(&format!(
        "{tried} schedules of {} workflows on {broker} {store}, {waited} of them with a lease to wait for too",
        seeds.len()
    ));
}

#[test]
fn killed_anywhere_with_sqlite() {
    killed_anywhere(Broker::Forgetful, Store::Sqlite, &CHOSEN);
}

#[test]
fn killed_anywhere_with_postgres() {
    killed_anywhere(Broker::Forgetful, Store::Postgres, &CHOSEN);
}

#[test]
fn killed_anywhere_on_rabbitmq() {
    killed_anywhere(Broker::RabbitMq, Store::Memory, ON_RABBITMQ[0]);
}

#[test]
fn killed_anywhere_on_rabbitmq_with_sqlite() {
    killed_anywhere(Broker::RabbitMq, Store::Sqlite, ON_RABBITMQ[1]);
}

#[test]
fn killed_anywhere_on_rabbitmq_with_postgres() {
    killed_anywhere(Broker::RabbitMq, Store::Postgres, ON_RABBITMQ[2]);
}

/// Without a store a stage may run once more; its effects must be the same.
#[test]
fn killed_anywhere_without_a_store() {
    killed_anywhere(Broker::RabbitMq, Store::Nowhere, &WITHOUT_STORE);
}
