//! A store that does not answer: for longer than a lease, or in the middle of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mmate::contract::Source;
use mmate::contract::address::dead_letter_queue;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate::store::{
    Claim, HistoryEntry, HistoryEvent, Instance, InstanceFilter, LiveVersion, Mail, MemoryStore,
    NewInstance, Save, Saved, StoreError, StoreErrorKind, WorkflowStatus, WorkflowStore,
    WorkflowVersion,
};
use mmate::transport::Transport;
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::InstanceId;
use mmate_tests::Probe;
use uuid::Uuid;

use super::generated::{Generated, entry, model, plan, state};
use super::scene::check_history;
use super::world::World;

/// A way to a store that is cut for some calls, or for all.
#[derive(Clone, Debug)]
struct Cuttable {
    store: MemoryStore,
    /// 0: nothing is cut, 1: renewals, 2: everything.
    cut: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Cuttable {
    fn new(store: &MemoryStore) -> Self {
        Self { store: store.clone(), cut: Arc::default(), refused: Arc::default() }
    }

    fn cut(&self, what: usize) {
        self.cut.store(what, Ordering::Relaxed);
    }

    fn ask(&self, call: &str) -> Result<(), StoreError> {
        let cut = self.cut.load(Ordering::Relaxed);
        if cut == 2 || (cut == 1 && call == "renew") {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the way to it is cut"));
        }
        Ok(())
    }
}

macro_rules! through {
    ($($name:ident($($args:tt)*)($($call:ident),*) -> $out:ty;)*) => {
        #[async_trait]
        impl WorkflowStore for Cuttable {
            fn name(&self) -> &'static str {
                "cuttable"
            }

            $(async fn $name(&self, $($args)*) -> Result<$out, StoreError> {
                self.ask(stringify!($name))?;
                self.store.$name($($call),*).await
            })*

            async fn close(&self) {
                self.store.close().await;
            }
        }
    };
}

through! {
    prepare()() -> ();
    create(new: &NewInstance)(new) -> bool;
    get(id: Uuid)(id) -> Option<Instance>;
    claim(id: Uuid, position: u64, owner: &str)(id, position, owner) -> Claim;
    save(save: &Save)(save) -> Saved;
    release(id: Uuid, owner: &str)(id, owner) -> ();
    renew(owner: &str, lease: Duration)(owner, lease) -> ();
    retire(owner: &str)(owner) -> ();
    wish(id: Uuid, wish: mmate::store::Wish, at: Timestamp)(id, wish, at) -> Option<Instance>;
    take_due(of: &[WorkflowVersion], now: Timestamp, again: Duration, limit: u32)(of, now, again, limit) -> Vec<Instance>;
    list(filter: &InstanceFilter)(filter) -> Vec<Instance>;
    history(id: Uuid)(id) -> Vec<HistoryEntry>;
    live_versions()() -> Vec<LiveVersion>;
    purge(of: &[String], before: Timestamp, limit: u32)(of, before, limit) -> u64;
    post(mail: &Mail)(mail) -> Vec<Instance>;
    mail(address: &str)(address) -> Option<Mail>;
    purge_mail(of: &[String], before: Timestamp, limit: u32)(of, before, limit) -> u64;
}

/// Which process it is, and what all of them see.
#[derive(Clone, Debug)]
struct Ship(&'static str, Probe);

/// Says when a stage is over, however it ends.
struct Aboard(Ship);

impl Drop for Aboard {
    fn drop(&mut self) {
        self.0.1.note(format!("{} ends", self.0.0));
    }
}

#[payload]
struct Voyage {
    by: String,
}

#[workflow(id = "voyage")]
impl Voyage {
    #[stage(irreversible, timeout = "1h")]
    async fn sail(&mut self, ship: State<Ship>) {
        ship.1.note(format!("{} begins", ship.0));
        let _aboard = Aboard(Ship::clone(&ship));
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.by = ship.0.to_owned();
    }
}

struct Sea {
    transport: MemoryTransport,
    store: MemoryStore,
    source: Source,
}

impl Sea {
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let source = Source::seeded(5, move || began.elapsed());
        let transport = MemoryTransport::new().source(source.clone());
        Self { transport, store: MemoryStore::new(source.clone()), source }
    }

    fn process(&self, store: &Cuttable) -> mmate::runtime::AppBuilder {
        let transport: Arc<dyn Transport> = Arc::new(self.transport.clone());
        let store: Arc<dyn WorkflowStore> = Arc::new(store.clone());
        let builder = App::builder().name("sea").transport(transport).source(self.source.clone());
        let builder = builder.workflow_store(store).config("workflows.lease", "3s");
        builder.config("workflows.lost_after", "5s").config("workflows.check_every", "1s")
    }

    async fn ship(&self, name: &'static str, store: &Cuttable, probe: &Probe) -> Running {
        let ship = Ship(name, probe.clone());
        self.process(store).workflow::<Voyage>().provide(ship).start().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_loses_its_lease_stops_its_stages_before_another_begins_them() {
    let (sea, probe) = (Sea::new(), Probe::default());
    let (first, second) = (Cuttable::new(&sea.store), Cuttable::new(&sea.store));
    let lonely = sea.ship("first", &first, &probe).await;
    let id = lonely.workflows().unwrap().start(Voyage { by: String::new() }).await.unwrap().id;
    probe.wait_for(1).await;
    let other = sea.ship("second", &second, &probe).await;
    first.cut(1);
    let ended = other.workflows().unwrap().wait(id, "5m").await.unwrap();
    assert_eq!(ended.completed().unwrap().by, "second");
    assert_eq!(probe.notes(), ["first begins", "first ends", "second begins", "second ends"]);
    let history = sea.store.history(id.into()).await.unwrap();
    let count = |event| history.iter().filter(|line| line.event == event).count();
    assert_eq!(count(HistoryEvent::Interrupted), 1, "{history:#?}");
    assert_eq!(count(HistoryEvent::Completed), 1, "{history:#?}");
    // When it is heard again it works again.
    first.cut(0);
    other.stop().await;
    let workflows = lonely.workflows().unwrap();
    let again = workflows.start(Voyage { by: String::new() }).await.unwrap().id;
    let ended = workflows.wait(again, "5m").await.unwrap();
    assert_eq!(ended.completed().unwrap().by, "first");
    lonely.stop().await;
}

/// How many instances there are during the outage.
const INSTANCES: u128 = 20;

#[tokio::test(start_paused = true)]
async fn when_the_store_is_gone_for_a_while_nothing_is_dead_lettered_and_everything_ends() {
    for seed in [0, 11, 26, 32, 49] {
        let (sea, world, plan) =
            (Sea::new(), World::slow(Duration::from_millis(20)), plan(seed, 6));
        let store = Cuttable::new(&sea.store);
        let process = sea.process(&store).workflow_entry(entry(&plan)).provide(world.clone());
        let running = process.start().await.unwrap();
        let workflows = running.workflows().unwrap();
        for number in 0..INSTANCES {
            workflows.start(state(&plan)).id(Uuid::from_u128(number)).await.unwrap();
        }
        // Some stages are done, some are running.
        tokio::time::sleep(Duration::from_millis(30)).await;
        store.cut(2);
        tokio::time::sleep(Duration::from_secs(30)).await;
        store.cut(0);
        assert!(store.refused.load(Ordering::Relaxed) > 10, "{store:?}");
        for id in (0..INSTANCES).map(Uuid::from_u128) {
            let ended = workflows.wait(InstanceId::<Generated>::from(id), "5m").await.unwrap();
            let history = workflows.history(id).await.unwrap();
            let completed = ended.status == WorkflowStatus::Completed;
            assert_eq!(completed, model(&plan).completed, "{plan:#?}\n{history:#?}");
            assert_eq!(world.kept(id), model(&plan).kept(), "{plan:#?}\n{history:#?}");
            check_history(&history, 1).unwrap();
        }
        assert_eq!(world.wrong(), [""; 0]);
        let queues: Vec<String> =
            (0..12).map(|step| format!("stageflow.generated.stage{step}")).collect();
        for queue in queues.iter().map(String::as_str).chain(["stageflow.compensation.generated"]) {
            let dead = sea.transport.queue_stats(&dead_letter_queue(queue)).await.unwrap();
            assert_eq!(dead.map_or(0, |dead| dead.ready), 0, "{queue}");
        }
        running.stop().await;
    }
}
