//! Instances that wait across restarts, kills, and on a real broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use mmate::App;
use mmate::contract::Source;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate::store::{InstanceFilter, Mail, MemoryStore, WorkflowStatus, WorkflowStore};
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::{Checkpoints, InstanceId, Workflow, WorkflowEntry};
use mmate_tests::{Backend, eventually, unique};
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::World;
use super::InvoicePaid;
use super::children::Errand;
use super::replies::{GoodsHeld, HoldGoods, hold_goods};

/// Waits in all three ways.
#[payload]
struct Everything {
    invoice: u32,
    goods: String,
    way: String,
    /// Whether its own first stage pays the invoice.
    pays: bool,
    /// Whether its last stage fails.
    fails: bool,
    cents: u32,
    shelf: u32,
    steps: u32,
}

impl Everything {
    fn new(pays: bool, fails: bool) -> Self {
        let (goods, way) = ("tea".to_owned(), "far".to_owned());
        Self { invoice: 7, goods, way, pays, fails, cents: 0, shelf: 0, steps: 0 }
    }
}

#[workflow(id = "everything")]
impl Everything {
    #[stage]
    async fn begin(&mut self, publisher: Publisher) -> Result {
        if self.pays {
            publisher.publish(InvoicePaid { invoice: self.invoice, cents: 5 }).await?;
        }
        Ok(())
    }

    #[stage(wait_for = InvoicePaid, key = invoice, within = "1h", compensate = undo)]
    async fn paid(&mut self, event: InvoicePaid, key: StageKey, world: State<World>) {
        self.cents = event.cents;
        world.note(key.as_str());
    }

    #[stage(reply = held, within = "1h", compensate = undo)]
    async fn hold(&self) -> Result<HoldGoods> {
        Ok(HoldGoods { goods: self.goods.clone() })
    }

    async fn held(&mut self, reply: GoodsHeld, key: StageKey, world: State<World>) {
        self.shelf = reply.shelf;
        world.note(key.as_str());
    }

    #[stage(ended = came_back, within = "3h", compensate = undo)]
    async fn send(&self) -> Result<Errand> {
        Ok(Errand { way: self.way.clone(), steps: 0 })
    }

    async fn came_back(&mut self, ended: Ended<Errand>, key: StageKey, world: State<World>) {
        self.steps = ended.state.steps;
        world.note(key.as_str());
    }

    #[stage]
    async fn end(&mut self) -> Result {
        if self.fails { Err(Reject::new("NO", "not this time").into()) } else { Ok(()) }
    }

    async fn undo(&mut self, key: StageKey, world: State<World>) {
        world.note(key.undo().as_str());
    }
}

/// What outlives a process.
struct Scene {
    transport: MemoryTransport,
    store: Arc<dyn WorkflowStore>,
    source: Source,
    world: World,
}

const ID: Uuid = Uuid::from_u128(7);

impl Scene {
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let source = Source::seeded(7, move || began.elapsed());
        let store = Arc::new(MemoryStore::new(source.clone()));
        let transport = MemoryTransport::new().source(source.clone());
        Self { transport, store, source, world: World::default() }
    }

    fn app(&self) -> AppBuilder {
        let transport = Arc::new(self.transport.clone()) as Arc<dyn mmate::transport::Transport>;
        App::builder()
            .name("waiting")
            .transport(transport)
            .source(self.source.clone())
            .workflow_store(Arc::clone(&self.store))
            .workflow::<Everything>()
            .workflow::<Errand>()
            .handler::<hold_goods>()
            .provide(self.world.clone())
            .config("workflows.lost_after", "1h")
    }

    /// The broker is gone with the process, as the embedded one is.
    fn forget(&mut self) {
        self.transport = MemoryTransport::new().source(self.source.clone());
    }

    /// What was done and not undone. What is done again has the same key.
    fn kept(&self) -> BTreeSet<String> {
        let seen: BTreeSet<String> = self.world.seen().into_iter().collect();
        let is_kept =
            |key: &&String| !key.ends_with(".undo") && !seen.contains(&format!("{key}.undo"));
        seen.iter().filter(is_kept).cloned().collect()
    }

    /// One life of the process, which ends at this checkpoint; true if it did.
    async fn live(&self, start: Option<Everything>, kill: Option<usize>) -> bool {
        let (reached, killed) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let ring = Arc::clone(&killed);
        let checkpoints = Checkpoints::new(move |_| {
            let now = Some(reached.fetch_add(1, Ordering::Relaxed)) == kill;
            if now {
                ring.notify_one();
            }
            now
        });
        let running = self.app().provide(checkpoints).start().await.unwrap();
        let workflows = running.workflows().unwrap();
        if let Some(state) = start {
            workflows.start(state).id(ID).await.unwrap();
        }
        tokio::select! {
            biased;
            () = killed.notified() => true,
            ended = workflows.wait(InstanceId::<Everything>::from(ID), "12h") => {
                if let Err(error) = ended {
                    panic!("{kill:?}: {error}\n{:#?}", workflows.history(ID).await);
                }
                running.stop().await;
                false
            }
        }
    }
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
    let scene = Scene::new();
    let running = scene.app().start().await.unwrap();
    let id = running.workflows().unwrap().start(Everything::new(false, false)).id(ID).await;
    let id = id.unwrap().id;
    waits_at(&running, "paid").await;
    running.publisher().publish(InvoicePaid { invoice: 8, cents: 5 }).await.unwrap();
    drop(running);
    let transport = Arc::new(scene.transport.clone()) as Arc<dyn mmate::transport::Transport>;
    let bank =
        App::builder().name("bank").publish_only().transport(transport).start().await.unwrap();
    bank.publisher().publish(InvoicePaid { invoice: 7, cents: 5 }).await.unwrap();
    let running = scene.app().start().await.unwrap();
    waits_at(&running, "hold").await;
    drop(running);
    let running = scene.app().start().await.unwrap();
    let done = running.workflows().unwrap().wait(id, "3h").await.unwrap().completed().unwrap();
    assert_eq!((done.cents, done.shelf, done.steps), (5, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn an_instance_wakes_by_time_in_another_process() {
    for forgetful in [false, true] {
        let mut scene = Scene::new();
        let running = scene.app().start().await.unwrap();
        let id = running.workflows().unwrap().start(Everything::new(false, false)).id(ID).await;
        let id = id.unwrap().id;
        waits_at(&running, "paid").await;
        drop(running);
        if forgetful {
            scene.forget();
        }
        let running = scene.app().start().await.unwrap();
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
    let scene = Scene::new();
    let (store, now) = (Arc::clone(&scene.store), scene.source.now());
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
    let running = scene.app().provide(checkpoints).start().await.unwrap();
    let workflows = running.workflows().unwrap();
    workflows.start(Everything::new(false, false)).id(ID).await.unwrap();
    // Long before somebody looks after instances.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(workflows.get(ID).await.unwrap().unwrap().stage, "hold");
}

/// Kills the process at every checkpoint once. Gives how many there are.
async fn exhaust(fails: bool) -> usize {
    let state = || Everything { way: "near".to_owned(), ..Everything::new(true, fails) };
    let calm = Scene::new();
    assert!(!calm.live(Some(state()), None).await);
    let expected = calm.kept();
    for kill in 0.. {
        let scene = Scene::new();
        if !scene.live(Some(state()), Some(kill)).await {
            return kill;
        }
        assert!(!scene.live(None, None).await);
        let history = scene.store.history(ID).await.unwrap();
        let what = || format!("killed at {kill}: {:?}\n{history:#?}", scene.world.seen());
        assert_eq!(scene.kept(), expected, "{}", what());
        let instance = scene.store.get(ID).await.unwrap().unwrap();
        let status = if fails { WorkflowStatus::Compensated } else { WorkflowStatus::Completed };
        assert_eq!((instance.status, instance.owner), (status, None), "{}", what());
        let live = WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end());
        let mut filter = InstanceFilter::default();
        filter.statuses = live.collect();
        assert_eq!(scene.store.list(&filter).await.unwrap(), [], "{}", what());
    }
    unreachable!("some checkpoint is the last")
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_anywhere_leaves_what_one_leaves_that_is_not() {
    let (forward, back) = (exhaust(false).await, exhaust(true).await);
    println!("killed at {forward} places forward and at {back} with the way back");
    assert!(forward > 30 && back > forward, "{forward} {back}");
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
