//! The same on real databases and a real broker, in real time: killed at every checkpoint once, and at a sample of
//! pairs.
//!
//! Much of the time passes in waiting for leases to end, so many schedules are tried beside each other, each worker with
//! a database and queues of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use mmate::contract::Source;
use mmate::store::{MemoryStore, WorkflowStore};
use mmate_tests::postgres::{execute, with_database, with_empty_database};
use mmate_tests::unique;

use super::generated::{Plan, entry_with, plan};
use super::scene::{Carrying, Keeping, Life, Line, Place, Scene, alone};
use super::world::World;
use crate::stores::Folder;

/// How many schedules are tried beside each other.
const WORKERS: usize = 12;

const CONFIG: &[(&str, &str)] = &[
    // Shorter than the second after which somebody looks again whether an instance is free.
    ("workflows.lease", "900ms"),
    ("workflows.lost_after", "2s"),
    ("workflows.check_every", "500ms"),
    // They are made at once; what quorum queues add is tested elsewhere.
    ("queues.type", "classic"),
];

/// What carries the messages of a worker.
type Broker = fn() -> Carrying;

const FORGETFUL: Broker = || Carrying::Forgetful;
const RABBITMQ: Broker = || Carrying::RabbitMq(Line::new());

fn place(keeping: Keeping, broker: Broker) -> Place {
    let (name, carrying) = (unique("crashes"), broker());
    Place { name, keeping, carrying, source: Source::system(), config: CONFIG }
}

fn scene(place: &Place, plan: &[Plan]) -> Scene {
    let entry = entry_with(plan, format!("{}.", place.name));
    let (id, world) = (Source::system().id(), World::default());
    Scene { place: place.clone(), entry, plan: plan.to_vec(), world, id }
}

/// Another instance of the same workflow.
fn again(scene: &Scene) -> Scene {
    let (place, plan) = (scene.place.clone(), scene.plan.clone());
    Scene { place, plan, entry: scene.entry, world: World::default(), id: Source::system().id() }
}

/// Runs an instance to its end, each life in a runtime of its own. Gives how many checkpoints the last one passed.
fn run(scene: &Scene, kills: &[usize]) -> usize {
    for (life, kill) in kills.iter().copied().map(Some).chain([None]).enumerate() {
        let end = alone(scene.live(life, kill));
        if let Carrying::RabbitMq(line) = &scene.place.carrying {
            line.cut();
        }
        if let Life::Ended(passed) = end {
            alone(scene.judge(kills));
            return passed;
        }
    }
    unreachable!("the last life has no kill")
}

/// Workflows whose undoing succeeds at once: between attempts a second passes.
fn plans<const N: usize>(seeds: [u64; N]) -> Vec<Vec<Plan>> {
    let plans = seeds.map(|seed| plan(seed, 6));
    assert!(plans.iter().flatten().all(|stage| !stage.undo_fails_once));
    plans.into()
}

/// Each checkpoint once, and `pairs` of all pairs, the same every time.
fn schedules(plan: usize, checkpoints: usize, pairs: usize) -> Vec<(usize, Vec<usize>)> {
    let once = (0..checkpoints).map(|first| vec![first]);
    let twice = (0..pairs).map(|pair| {
        // Coprime to all counts that come up: the sample goes all over the square.
        let (first, second) = (pair * 7919 % checkpoints, pair * 104_729 % checkpoints);
        vec![first, second]
    });
    once.chain(twice).map(|kills| (plan, kills)).collect()
}

/// Tries all schedules of all workflows, each worker at a place of its own; gives how many there were.
fn exhaust(places: &[Place], plans: &[Vec<Plan>], pairs: usize) -> usize {
    let mut all = VecDeque::new();
    for (index, plan) in plans.iter().enumerate() {
        let checkpoints = run(&scene(&places[0], plan), &[]);
        all.extend(schedules(index, checkpoints, pairs));
    }
    let (tried, left) = (all.len() + plans.len(), Mutex::new(all));
    std::thread::scope(|scope| {
        for place in places {
            scope.spawn(|| {
                let scenes: Vec<Scene> = plans.iter().map(|plan| scene(place, plan)).collect();
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((plan, kills)) = next else { break };
                    run(&again(&scenes[plan]), &kills);
                }
            });
        }
    });
    tried
}

fn report(tried: usize, plans: &[Vec<Plan>], on: &str) {
    println!("{tried} schedules of {} workflows on {on}", plans.len());
    assert!(tried > 50, "{tried}");
}

fn shared_stores(broker: Broker) -> Vec<Place> {
    let store = || -> Arc<dyn WorkflowStore> { Arc::new(MemoryStore::new(Source::system())) };
    (0..WORKERS).map(|_| place(Keeping::Shared(store()), broker)).collect()
}

fn on_sqlite(broker: Broker, plans: &[Vec<Plan>], pairs: usize) -> usize {
    let folders: Vec<Folder> = (0..WORKERS).map(|_| Folder::new()).collect();
    let by_url = |folder: &Folder| place(Keeping::Url(folder.url()), broker);
    let places: Vec<Place> = folders.iter().map(by_url).collect();
    exhaust(&places, plans, pairs)
}

fn on_postgres(broker: Broker, plans: &[Vec<Plan>], pairs: usize) -> usize {
    let mut tried = 0;
    let count = &mut tried;
    alone(with_empty_database(|url| async move {
        let mut places = Vec::new();
        for _ in 0..WORKERS {
            let name = unique("mmate_crashes").replace('-', "_");
            execute(&url, &[&format!("create database {name}")]).await;
            let url = with_database(&url, &name) + "?connections=3";
            places.push(place(Keeping::Url(url), broker));
        }
        let plans = plans.to_vec();
        let trying = move || exhaust(&places, &plans, pairs);
        *count = tokio::task::spawn_blocking(trying).await.unwrap();
    }));
    tried
}

#[test]
fn killed_anywhere_with_sqlite() {
    let plans = plans([0, 11, 38, 49]);
    report(on_sqlite(FORGETFUL, &plans, 10), &plans, "a broker in memory with sqlite");
}

#[test]
fn killed_anywhere_with_postgres() {
    let plans = plans([5, 15, 21, 28, 30]);
    report(on_postgres(FORGETFUL, &plans, 10), &plans, "a broker in memory with postgres");
}

#[test]
fn killed_anywhere_on_rabbitmq() {
    let plans = plans([26, 47, 52]);
    let tried = exhaust(&shared_stores(RABBITMQ), &plans, 10);
    report(tried, &plans, "rabbitmq with a store in memory");
}

#[test]
fn killed_anywhere_on_rabbitmq_with_sqlite() {
    let plans = plans([13, 27, 44, 50]);
    report(on_sqlite(RABBITMQ, &plans, 10), &plans, "rabbitmq with sqlite");
}

#[test]
fn killed_anywhere_on_rabbitmq_with_postgres() {
    let plans = plans([1, 31, 54, 14]);
    report(on_postgres(RABBITMQ, &plans, 10), &plans, "rabbitmq with postgres");
}

/// Without a store a stage may run once more; its effects must be the same.
#[test]
fn killed_anywhere_without_a_store() {
    let plans = plans([0, 6, 26, 36, 57]);
    let places: Vec<Place> = (0..WORKERS).map(|_| place(Keeping::Nowhere, RABBITMQ)).collect();
    report(exhaust(&places, &plans, 0), &plans, "rabbitmq without a store");
}
