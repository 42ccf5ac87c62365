//! The process is killed at every checkpoint of every step, once and twice: what is left must be what a model says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mmate::App;
use mmate::contract::Source;
use mmate::store::{InstanceFilter, MemoryStore, WorkflowStatus, WorkflowStore};
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::{Checkpoints, InstanceId, WorkflowEntry};
use tokio::sync::Notify;
use uuid::Uuid;

use super::generated::{Generated, Plan, World, entry, model, plan, state};

/// What outlives the process.
struct Scene {
    transport: MemoryTransport,
    store: Arc<dyn WorkflowStore>,
    source: Source,
    world: World,
    entry: &'static WorkflowEntry,
    plan: Vec<Plan>,
    /// Whether the broker is gone with each process, as the embedded one is.
    forgetful: bool,
}

impl Scene {
    fn new(entry: &'static WorkflowEntry, plan: &[Plan], forgetful: bool) -> Self {
        let began = tokio::time::Instant::now();
        let source = Source::seeded(7, move || began.elapsed());
        Self {
            transport: MemoryTransport::new().source(source.clone()),
            store: Arc::new(MemoryStore::new(source.clone())),
            source,
            world: World::default(),
            entry,
            plan: plan.to_vec(),
            forgetful,
        }
    }

    /// Runs an instance to its end through as many lives as there are kills, and one more. Gives how many of the kills
    /// took place.
    async fn run(&mut self, kills: &[usize]) -> usize {
        let id = Uuid::from_u128(0x0001_0203_0405_4607_8809_0a0b_0c0d_0e0f);
        for (life, kill) in kills.iter().map(Some).chain([None]).enumerate() {
            if !self.live(life, kill.copied(), id).await {
                self.judge(kills, id).await;
                return life;
            }
            if self.forgetful {
                self.transport = MemoryTransport::new().source(self.source.clone());
            }
        }
        unreachable!("the last life has no kill")
    }

    /// One life of the process; true if it was killed.
    async fn live(&self, life: usize, kill: Option<usize>, id: Uuid) -> bool {
        let (reached, killed) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let ring = Arc::clone(&killed);
        let checkpoints = Checkpoints::new(move |_| {
            let now = Some(reached.fetch_add(1, Ordering::Relaxed)) == kill;
            if now {
                ring.notify_one();
            }
            now
        });
        let app = App::builder()
            .name("crashes")
            .transport(Arc::new(self.transport.clone()) as Arc<dyn mmate::transport::Transport>)
            .source(self.source.clone())
            .workflow_store(Arc::clone(&self.store))
            .workflow_entry(self.entry)
            .provide(self.world.clone())
            .provide(checkpoints)
            .config("workflows.lost_after", "1h");
        let running = app.start().await.unwrap();
        let workflows = running.workflows().unwrap();
        if life == 0 {
            workflows.start(state(&self.plan)).id(id).await.unwrap();
        }
        tokio::select! {
            biased;
            () = killed.notified() => true,
            ended = workflows.wait(InstanceId::<Generated>::from(id), "1h") => {
                if let Err(error) = ended {
                    panic!("{error}\n{:?}\n{:#?}", self.plan, workflows.history(id).await);
                }
                running.stop().await;
                false
            }
        }
    }

    async fn judge(&self, kills: &[usize], id: Uuid) {
        let (completed, effects) = model(&self.plan);
        let instance = self.store.get(id).await.unwrap().unwrap();
        let (kept, wrong) = self.world.kept();
        let history = self.store.history(id).await.unwrap();
        let scene = || {
            format!("killed at {kills:?}, {:?}\n{:#?}\n{history:#?}", instance.status, self.plan)
        };
        assert_eq!(instance.status == WorkflowStatus::Completed, completed, "{}", scene());
        assert_eq!(kept, effects, "{}", scene());
        assert_eq!(wrong, [""; 0], "{}", scene());
        let live = WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end());
        let mut filter = InstanceFilter::default();
        filter.statuses = live.collect();
        assert_eq!(self.store.list(&filter).await.unwrap(), [], "{}", scene());
        assert_eq!(instance.owner, None, "{}", scene());
    }
}

/// Kills the process at every checkpoint once, and at every pair of checkpoints of two lives. Gives how many schedules
/// were tried.
async fn exhaust(plan: &[Plan], forgetful: bool) -> usize {
    let entry = entry(plan);
    let mut tried = 0;
    for first in 0.. {
        tried += 1;
        if Scene::new(entry, plan, forgetful).run(&[first]).await == 0 {
            break;
        }
        for second in 0.. {
            tried += 1;
            if Scene::new(entry, plan, forgetful).run(&[first, second]).await < 2 {
                break;
            }
        }
    }
    tried
}

async fn exhaust_many(seeds: std::ops::Range<u64>, forgetful: bool) {
    let mut tried = 0;
    for seed in seeds.clone() {
        let plan = plan(seed, 6);
        tried += exhaust(&plan, forgetful).await;
    }
    println!(
        "{tried} schedules of {} workflows, forgetful broker: {forgetful}",
        seeds.end - seeds.start
    );
    assert!(tried > 200, "{tried}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_anywhere_once_and_twice_leaves_what_the_model_says() {
    exhaust_many(0..3, false).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_broker_is_gone_with_it() {
    exhaust_many(12..15, true).await;
}

/// Whatever is wrong with the model or the world would show here without a kill.
#[tokio::test(start_paused = true)]
async fn without_a_kill_every_generated_workflow_ends_as_the_model_says() {
    let mut shapes = BTreeSet::new();
    for seed in 0..100 {
        let plan = plan(seed, 6);
        shapes.insert((plan.len(), model(&plan).0));
        assert_eq!(Scene::new(entry(&plan), &plan, false).run(&[]).await, 0);
    }
    assert!(shapes.len() > 12, "{shapes:?}");
}
