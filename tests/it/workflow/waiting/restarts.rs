//! Instances that wait across restarts, kills, and on a real broker.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use mmate::App;
use mmate::runtime::{AppBuilder, Running};
use mmate::store::{Mail, WorkflowStatus};
use mmate::transport::Transport;
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::{Checkpoints, Workflow, WorkflowEntry};
use mmate_tests::{Backend, eventually, unique};
use uuid::Uuid;

use super::super::World;
use super::super::crashes;
use super::super::place::{Carrying, Place};
use super::super::places::{Broker, Store, with_places};
use super::super::scene::Scene;
use super::super::schedules::{exhaust, say};
use super::super::story::Story as _;
use super::super::workers;
use super::InvoicePaid;
use super::children::Errand;
use super::everything::{Errands, Everything};
use super::replies::hold_goods;

const ID: Uuid = Uuid::from_u128(7);

/// A place in memory whose broker is embedded, and stays.
fn place() -> Place {
    let place = crashes::place(false);
    let Carrying::Kept(transport) = place.carrying else { unreachable!("it was asked for") };
    Place { name: "waiting".to_owned(), carrying: Carrying::Embedded(transport), ..place }
}

fn scene(fails: bool) -> Scene<Errands> {
    Scene { place: place(), story: Errands::with_tea(fails), id: ID }
}

fn transport(scene: &Scene<Errands>) -> Arc<dyn Transport> {
    let Carrying::Embedded(transport) = &scene.place.carrying else {
        unreachable!("it was asked for")
    };
    Arc::new(transport.clone())
}

async fn app(scene: &Scene<Errands>) -> AppBuilder {
    scene.story.equip(scene.place.process().await)
}

async fn waits_at(running: &Running, stage: &str) {
    let workflows = running.workflows().unwrap();
    eventually(stage, || async {
        let view = workflows.get(ID).await.unwrap();
        view.is_some_and(|view| {
            view.stage == stage && view.instance.status == WorkflowStatus::Waiting
        })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_wakes_by_what_came_while_no_process_ran() {
    let scene = scene(false);
    let running = app(&scene).await.start().await.unwrap();
    let id = running.workflows().unwrap().start(Everything::new(false, false)).id(ID).await;
    let id = id.unwrap().id;
    waits_at(&running, "paid").await;
    running.publisher().publish(InvoicePaid { invoice: 8, cents: 5 }).await.unwrap();
    drop(running);
    let transport = transport(&scene);
    let bank =
        App::builder().name("bank").publish_only().transport(transport).start().await.unwrap();
    bank.publisher().publish(InvoicePaid { invoice: 7, cents: 5 }).await.unwrap();
    let running = app(&scene).await.start().await.unwrap();
    waits_at(&running, "hold").await;
    drop(running);
    let running = app(&scene).await.start().await.unwrap();
    let done = running.workflows().unwrap().wait(id, "3h").await.unwrap().completed().unwrap();
    assert_eq!((done.cents, done.shelf, done.steps), (5, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn an_instance_wakes_by_time_in_another_process() {
    for forgetful in [false, true] {
        let mut scene = scene(false);
        let running = app(&scene).await.start().await.unwrap();
        let id = running.workflows().unwrap().start(Everything::new(false, false)).id(ID).await;
        let id = id.unwrap().id;
        waits_at(&running, "paid").await;
        drop(running);
        if forgetful {
            let transport = MemoryTransport::new().source(scene.place.source.clone());
            scene.place.carrying = Carrying::Embedded(transport);
        }
        let running = app(&scene).await.start().await.unwrap();
        let workflows = running.workflows().unwrap();
        tokio::time::sleep(Duration::from_secs(3_500)).await;
        let view = workflows.get(ID).await.unwrap().unwrap();
        assert_eq!(view.instance.status, WorkflowStatus::Waiting);
        let ended = workflows.wait(id, "5m").await.unwrap();
        assert_eq!(ended.failure.unwrap().error, "nothing came within 3600s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_between_the_look_and_the_wait_is_not_missed() {
    let scene = scene(false);
    let (store, now) = (scene.place.store().unwrap(), scene.place.source.now());
    let checkpoints = Checkpoints::new(move |place| {
        if place == "looked" {
            let body = r#"{"invoice":7,"cents":5}"#.to_owned();
            let address = "event:everything:InvoicePaid:7";
            let mail = Mail::new("everything", address, "late", body, now);
            let waiting = store.post(&mail).now_or_never().unwrap().unwrap();
            assert_eq!(waiting, [], "nobody waits yet");
        }
        false
    });
    let running = app(&scene).await.provide(checkpoints).start().await.unwrap();
    let workflows = running.workflows().unwrap();
    workflows.start(Everything::new(false, false)).id(ID).await.unwrap();
    // Long before somebody looks after instances.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(workflows.get(ID).await.unwrap().unwrap().stage, "hold");
}

/// A broker of another process keeps what is said; with one that is embedded all is said again at the start.
#[tokio::test(start_paused = true)]
async fn what_waits_and_is_killed_anywhere_once_and_twice_ends_as_if_it_was_not() {
    for fails in [false, true] {
        let apart = || Scene { place: crashes::place(false), ..scene(fails) };
        let tried = exhaust(apart, 2).await + exhaust(|| scene(fails), 1).await;
        say(&format!("{tried} schedules of {} in memory", scene(fails).story.name()));
    }
}

/// Once at every checkpoint: pairs would be some thousand for each store and broker. The broker is one that keeps its messages:
/// with one that forgets, what was published and not heard yet is gone.
fn killed_anywhere(broker: Broker, store: Store) {
    let stories = [false, true]
        .map(|fails| move |place: &Place| Errands::with_salt(fails, format!("{}.", place.name)));
    let (tried, waited) =
        with_places(broker, store, |places| workers::exhaust(places, &stories, 1, false));
    say(&format!(
        "{tried} schedules of 2 workflows that wait on {broker} {store}, {waited} of them with a lease to wait for too"
    ));
    assert!(tried > 60, "{tried}");
}

#[test]
fn what_waits_and_is_killed_anywhere_with_sqlite() {
    killed_anywhere(Broker::Kept, Store::Sqlite);
}

#[test]
fn what_waits_and_is_killed_anywhere_with_postgres() {
    killed_anywhere(Broker::Kept, Store::Postgres);
}

#[test]
fn what_waits_and_is_killed_anywhere_on_rabbitmq_with_sqlite() {
    killed_anywhere(Broker::RabbitMq, Store::Sqlite);
}

#[test]
fn what_waits_and_is_killed_anywhere_on_rabbitmq_with_postgres() {
    killed_anywhere(Broker::RabbitMq, Store::Postgres);
}

/// The same workflow with queues that no other run on the same broker has.
fn apart(entry: &'static WorkflowEntry) -> &'static WorkflowEntry {
    let prefix: &'static str = format!("{}.", unique("flow")).leak();
    Box::leak(Box::new((*entry).prefix(prefix)))
}

#[tokio::test]
async fn events_replies_and_ends_come_over_rabbitmq_to_instances_in_sqlite() {
    let broker = Backend::RabbitMq.broker().await;
    let app = broker.service(&unique("waiting")).await;
    let app = app
        .workflow_entry(apart(Everything::ENTRY))
        .workflow_entry(apart(Errand::ENTRY))
        .handler::<hold_goods>()
        .provide(World::default())
        .config("workflows.store", "sqlite::memory:");
    let running = app.start().await.unwrap();
    let workflows = running.workflows().unwrap();
    for fails in [false, true] {
        let (goods, way) = ("salt".to_owned(), "near".to_owned());
        let state = Everything { goods, way, ..Everything::new(false, fails) };
        let id = if fails { Uuid::from_u128(8) } else { ID };
        let run = workflows.start(state).id(id).await.unwrap();
        if !fails {
            waits_at(&running, "paid").await;
        }
        running.publisher().publish(InvoicePaid { invoice: 7, cents: 5 }).await.unwrap();
        let ended = workflows.wait(run.id, "20s").await.unwrap();
        let status = if fails { WorkflowStatus::Compensated } else { WorkflowStatus::Completed };
        assert_eq!(ended.status, status);
        let state = ended.state;
        assert_eq!((state.cents, state.shelf, state.steps), (5, 4, 1));
    }
    running.stop().await;
}
