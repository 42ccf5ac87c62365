//! Several instances that wait for one event of one key: one of them gets it.

use std::sync::Arc;
use std::time::Duration;

use mmate::App;
use mmate::contract::Source;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::store::{MemoryStore, WorkflowStatus, WorkflowStore, connect};
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{Properties, Transport};
use mmate::workflow::{Checkpoints, InstanceId};
use mmate_tests::postgres::with_empty_database;
use mmate_tests::{eventually, publish_raw};
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::World;
use super::super::apart::Apart;
use super::{InvoicePaid, Invoicing, Reminding, app, status};
use crate::stores::Folder;

/// Says that a table is free.
#[message(event, aggregate = "place", key = place)]
struct TableFree {
    place: u32,
    table: u32,
}

/// Waits for a table.
#[payload]
struct Guest {
    place: u32,
    table: u32,
}

#[workflow(id = "guest")]
impl Guest {
    #[stage(wait_for = TableFree, key = place, compensate = leave)]
    async fn sit_down(&mut self, event: TableFree, world: State<World>) {
        // What it does is seen at once, and not only if the instance gets on.
        world.note(format!("table {}", event.table));
        self.table = event.table;
    }

    async fn leave(&mut self, world: State<World>) {
        world.note(format!("leaves {}", self.table));
    }
}

async fn waits(app: &TestApp, runs: &[InstanceId<Invoicing>]) -> usize {
    let mut waiting = 0;
    for id in runs {
        waiting += usize::from(status(app, *id).await.0 == WorkflowStatus::Waiting);
    }
    waiting
}

#[tokio::test(start_paused = true)]
async fn an_event_for_which_several_wait_is_taken_by_one() {
    let world = World::default();
    let app = app(&world).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(app.workflows().start(Invoicing::of(7)).await.unwrap().id);
    }
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(waits(&app, &runs).await, 3);
    for (cents, left) in [(1, 2), (2, 1), (3, 0)] {
        app.publish(InvoicePaid { invoice: 7, cents }).await.unwrap();
        app.advance(Duration::from_secs(60)).await;
        assert_eq!(waits(&app, &runs).await, left);
        let paid: Vec<String> =
            world.seen().into_iter().filter(|seen| seen.starts_with("paid")).collect();
        assert_eq!(paid.len(), cents as usize, "{paid:?}");
    }
    for id in runs {
        app.workflows().wait(id, "5s").await.unwrap().completed().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_after_it_was_read_comes_to_nobody() {
    let world = World::default();
    let app = app(&world).await;
    let state = Reminding { invoice: 7, wait: true, reminded: false };
    let run = app.workflows().start(state).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    for _ in 0..2 {
        app.publish(InvoicePaid { invoice: 7, cents: 2 }).id("one").await.unwrap();
        app.advance(Duration::from_secs(60)).await;
    }
    assert_eq!(status(&app, run.id).await, (WorkflowStatus::Waiting, "paid".to_owned()));
    app.publish(InvoicePaid { invoice: 7, cents: 3 }).id("two").await.unwrap();
    app.workflows().wait(run.id, "5s").await.unwrap().completed().unwrap();
    assert_eq!(world.seen(), ["early 2", "paid 3"]);
}

/// A restaurant whose processes share what is given to them.
struct Restaurant {
    open: Box<dyn Fn() -> Arc<dyn WorkflowStore>>,
    transport: MemoryTransport,
    source: Source,
    world: World,
}

impl Restaurant {
    fn new(source: Source, open: impl Fn() -> Arc<dyn WorkflowStore> + 'static) -> Self {
        let transport = MemoryTransport::new().source(source.clone());
        Self { open: Box::new(open), transport, source, world: World::default() }
    }

    fn in_memory() -> Self {
        let began = tokio::time::Instant::now();
        let source = Source::seeded(7, move || began.elapsed());
        let store = MemoryStore::new(source.clone());
        Self::new(source, move || Arc::new(store.clone()))
    }

    async fn process(&self, checkpoints: Option<Checkpoints>) -> Running {
        let transport = Arc::new(Apart(self.transport.clone())) as Arc<dyn Transport>;
        let app = App::builder()
            .name("restaurant")
            .transport(transport)
            .source(self.source.clone())
            .workflow_store((self.open)())
            .workflow::<Guest>()
            .config("workflows.lease", "3s")
            .provide(self.world.clone());
        match checkpoints {
            Some(checkpoints) => app.provide(checkpoints).start().await.unwrap(),
            None => app.start().await.unwrap(),
        }
    }

    async fn start(&self, process: &Running, number: u128) -> InstanceId<Guest> {
        let workflows = process.workflows().unwrap();
        let run = workflows.start(Guest { place: 1, table: 0 }).id(Uuid::from_u128(number)).await;
        run.unwrap().id
    }

    /// Many guests and as many tables, in two processes.
    async fn contest(self, guests: u32) {
        let processes = [self.process(None).await, self.process(None).await];
        let mut ids = Vec::new();
        for (number, process) in (0..guests).zip(processes.iter().cycle()) {
            ids.push(self.start(process, number.into()).await);
        }
        let workflows = processes[0].workflows().unwrap();
        for (table, process) in (1..=guests).zip(processes.iter().cycle()) {
            process.publisher().publish(TableFree { place: 1, table }).await.unwrap();
        }
        let mut tables = Vec::new();
        for id in ids {
            tables.push(workflows.wait(id, "60s").await.unwrap().completed().unwrap().table);
        }
        tables.sort_unstable();
        assert_eq!(tables, (1..=guests).collect::<Vec<_>>(), "each table has one guest");
        assert_eq!(self.world.seen().len(), tables.len(), "and no other has sat down at it");
        for process in processes {
            process.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_that_wait_in_memory_each_gets_an_event_of_its_own() {
    Restaurant::in_memory().contest(40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_wait_in_sqlite_each_gets_an_event_of_its_own() {
    let folder = Folder::new();
    let (url, source) = (folder.url(), Source::system());
    let store = source.clone();
    Restaurant::new(source, move || connect(&url, store.clone()).unwrap()).contest(12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_wait_in_postgres_each_gets_an_event_of_its_own() {
    with_empty_database(|url| async move {
        let source = Source::system();
        let store = source.clone();
        Restaurant::new(source, move || connect(&url, store.clone()).unwrap()).contest(20).await;
    })
    .await;
}

/// The process is killed when its instance has taken the event, and before the method was called with it.
#[tokio::test(start_paused = true)]
async fn what_an_instance_has_taken_is_its_own_also_when_its_process_is_killed() {
    let restaurant = Restaurant::in_memory();
    let killed = Arc::new(Notify::new());
    let ring = Arc::clone(&killed);
    let checkpoints = Checkpoints::new(move |place| {
        let now = place == "taken";
        if now {
            ring.notify_one();
        }
        now
    });
    let first = restaurant.process(Some(checkpoints)).await;
    let taker = restaurant.start(&first, 1).await;
    let store = (restaurant.open)();
    eventually("it waits", || async {
        store.get(taker.uuid()).await.unwrap().unwrap().status == WorkflowStatus::Waiting
    })
    .await;
    first.publisher().publish(TableFree { place: 1, table: 4 }).await.unwrap();
    killed.notified().await;
    drop(first);
    assert_eq!(restaurant.world.seen(), [""; 0]);
    let second = restaurant.process(None).await;
    let other = restaurant.start(&second, 2).await;
    let workflows = second.workflows().unwrap();
    let done = workflows.wait(taker, "60s").await.unwrap().completed().unwrap();
    assert_eq!(done.table, 4);
    let view = workflows.get(other).await.unwrap().unwrap();
    assert_eq!(view.instance.status, WorkflowStatus::Waiting);
    assert_eq!(restaurant.world.seen(), ["table 4"]);
    second.stop().await;
}

/// An event whose key no database can keep is nobody's, and does not come again and again.
#[tokio::test(start_paused = true)]
async fn an_event_whose_key_cannot_be_kept_is_dead_lettered() {
    /// An event with a key of any kind.
    #[message(event, name = "DoorOpened", aggregate = "door", key = door)]
    struct DoorOpened {
        door: String,
    }

    #[payload]
    struct Porter {
        door: String,
    }

    #[workflow(id = "porter")]
    impl Porter {
        #[stage(wait_for = DoorOpened, key = door, within = "1h")]
        async fn open(&mut self, _: DoorOpened) {}
    }

    let app = TestApp::builder().workflow::<Porter>().start().await.unwrap();
    let transport = Arc::new(app.transport().clone()) as Arc<dyn Transport>;
    for door in ["x".repeat(2_000), "a\0b".to_owned()] {
        let payload = serde_json::json!({"aggregateId": door, "door": door});
        let envelope = serde_json::json!({"id": "1", "type": "DoorOpened", "payload": payload});
        let properties = Properties::default();
        publish_raw(&transport, "stageflow.porter.events", properties, envelope.to_string()).await;
        // Nor can an instance wait for it.
        let run = app.workflows().start(Porter { door }).await.unwrap();
        let ended = app.workflows().wait(run.id, "60s").await.unwrap();
        let error = ended.failure.unwrap().error;
        assert!(error.contains("the key of event `DoorOpened`"), "{error}");
    }
    let broken = r#"{"id":"2","type":"DoorOpened","payload":{"aggregateId":"1",}}"#;
    publish_raw(&transport, "stageflow.porter.events", Properties::default(), broken).await;
    let dead = || async { app.dead_letters("stageflow.porter.events").len() == 3 };
    eventually("it is dead-lettered", dead).await;
    let letters = app.dead_letters("stageflow.porter.events");
    assert_eq!(letters[2].reason(), "not_json");
    let errors: Vec<&str> = letters.iter().map(|letter| letter.error()).collect();
    assert!(errors[0].contains("too long to be looked up by"), "{errors:?}");
    assert!(errors[1].contains("holds a NUL character"), "{errors:?}");
}
