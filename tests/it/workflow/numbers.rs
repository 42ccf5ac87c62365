//! Stages that use random numbers and the clock: what they came up with is kept, not made up anew.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use mmate::contract::Source;
use mmate::prelude::*;
use mmate::store::{HistoryEvent, MemoryStore, WorkflowStatus, WorkflowStore};
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::{Checkpoints, InstanceId};
use rand::random;
use tokio::sync::Notify;
use uuid::Uuid;

/// A random number and a time.
type Draw = (u64, u64);

/// What each stage told the world in its attempts, in order.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<BTreeMap<String, Vec<Draw>>>>);

impl Told {
    fn tell(&self, stage: &str, draw: Draw) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(stage.to_owned()).or_default().push(draw);
    }

    fn all(&self) -> BTreeMap<String, Vec<Draw>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Draws a number and looks at the clock, and tells the world.
fn draw(stage: &str, told: &Told) -> Draw {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let draw = (random(), u64::try_from(since.as_nanos()).unwrap());
    told.tell(stage, draw);
    draw
}

#[payload]
struct Lottery {
    fails: bool,
    draws: BTreeMap<String, Draw>,
}

#[workflow(id = "lottery")]
impl Lottery {
    #[stage(compensate = forget)]
    async fn first(&mut self, told: State<Told>) {
        self.draws.insert("first".to_owned(), draw("first", &told));
    }

    #[stage(parallel = both, compensate = forget)]
    async fn left(&self, told: State<Told>) -> Result<Draw> {
        Ok(draw("left", &told))
    }

    #[stage(parallel = both, compensate = forget)]
    async fn right(&self, told: State<Told>) -> Result<Draw> {
        Ok(draw("right", &told))
    }

    #[stage(join = both)]
    async fn sum(&mut self, left: Draw, right: Draw) {
        self.draws.extend([("left".to_owned(), left), ("right".to_owned(), right)]);
    }

    #[stage(compensate = forget)]
    async fn last(&mut self, told: State<Told>) -> Result {
        self.draws.insert("last".to_owned(), draw("last", &told));
        if self.fails {
            Err(Reject::new("NO", "the last number is not drawn").into())
        } else {
            Ok(())
        }
    }

    /// It draws too, and must leave what was drawn alone.
    async fn forget(&mut self, info: StageInfo, told: State<Told>) {
        let name = format!("-{}", info.stage);
        self.draws.insert(name.clone(), draw(&name, &told));
    }
}

struct Hall {
    transport: MemoryTransport,
    store: Arc<dyn WorkflowStore>,
    source: Source,
    told: Told,
    id: InstanceId<Lottery>,
}

impl Hall {
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let source = Source::seeded(3, move || began.elapsed());
        Self {
            transport: MemoryTransport::new().source(source.clone()),
            store: Arc::new(MemoryStore::new(source.clone())),
            source,
            told: Told::default(),
            id: Uuid::from_u128(0x0001_0203_0405_4607_8809_0a0b_0c0d_0e0f).into(),
        }
    }

    /// One life of the process; the state at the end of the instance if it was not killed.
    async fn live(&self, kill: Option<usize>, begin: Option<Lottery>) -> Option<Lottery> {
        let (reached, killed) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let ring = Arc::clone(&killed);
        let checkpoints = Checkpoints::new(move |_| {
            let now = Some(reached.fetch_add(1, Ordering::Relaxed)) == kill;
            if now {
                ring.notify_one();
            }
            now
        });
        let transport: Arc<dyn mmate::transport::Transport> = Arc::new(self.transport.clone());
        let app = App::builder()
            .name("lottery")
            .transport(transport)
            .source(self.source.clone())
            .workflow_store(Arc::clone(&self.store))
            .workflow::<Lottery>()
            .provide(self.told.clone())
            .provide(checkpoints);
        let running = app.start().await.unwrap();
        let workflows = running.workflows().unwrap();
        if let Some(state) = begin {
            workflows.start(state).id(self.id.into()).await.unwrap();
        }
        tokio::select! {
            biased;
            () = killed.notified() => None,
            ended = workflows.wait(self.id, "1h") => {
                let state = ended.unwrap().state;
                running.stop().await;
                Some(state)
            }
        }
    }

    /// What the stages had told the world that are recorded as completed or undone.
    async fn recorded(&self) -> BTreeMap<String, Draw> {
        let told = self.told.all();
        let history = self.store.history(self.id.into()).await.unwrap();
        let names = history.iter().filter_map(|line| match line.event {
            HistoryEvent::Completed => Some(line.stage.clone()),
            HistoryEvent::Undone => Some(format!("-{}", line.stage)),
            _ => None,
        });
        names.filter_map(|name| Some((name.clone(), *told.get(&name)?.last()?))).collect()
    }
}

/// Kills the process at a checkpoint; false if there are not so many.
async fn ensure_kept(kill: usize, fails: bool) -> bool {
    let hall = Hall::new();
    let begin = Lottery { fails, draws: BTreeMap::new() };
    let ended = hall.live(Some(kill), Some(begin)).await;
    let before = hall.recorded().await;
    let was_killed = ended.is_none();
    let state = match ended {
        Some(state) => state,
        None => hall.live(None, None).await.unwrap(),
    };
    // Nothing was drawn again that stood in the history.
    for (name, draw) in &before {
        assert_eq!(state.draws.get(name), Some(draw), "`{name}`, killed at {kill}");
        assert_eq!(hall.told.all()[name].last(), Some(draw), "`{name}`, killed at {kill}");
    }
    // A stage that failed has left nothing in the state.
    assert_eq!(state.draws, hall.recorded().await, "killed at {kill}");
    let instance = hall.store.get(hall.id.into()).await.unwrap().unwrap();
    let end = if fails { WorkflowStatus::Compensated } else { WorkflowStatus::Completed };
    assert_eq!(instance.status, end, "killed at {kill}");
    was_killed
}

#[tokio::test(start_paused = true)]
async fn a_workflow_whose_stages_use_random_numbers_and_the_clock_recovers_correctly() {
    let mut drawn_again = 0;
    for fails in [false, true] {
        let mut kill = 0;
        while ensure_kept(kill, fails).await {
            kill += 1;
        }
        drawn_again += kill;
    }
    assert!(drawn_again > 30, "{drawn_again}");
}
