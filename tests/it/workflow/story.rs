//! What runs in a scene, and how it must end.

use std::fmt;

use mmate::runtime::AppBuilder;
use mmate::workflow::{Workflow, WorkflowEntry};
use uuid::Uuid;

use super::generated::{Generated, Model, Plan, STEPS_MAX, entry, entry_with, model, plan, state};
use super::world::World;

/// Workflows, their outside world, and what must have become of an instance in the end.
pub(super) trait Story: fmt::Debug + Send + Sync {
    type State: Workflow;

    /// In how many parts a stage is complete: what asks, or starts somebody, is called again with what comes of it.
    const PARTS: usize = 1;

    /// Which one it is, for whoever reads of a failure.
    fn name(&self) -> String;

    /// The same in a world in which nothing has happened yet.
    fn again(&self) -> Self;

    /// Gives a process the workflows and what they need.
    fn equip(&self, process: AppBuilder) -> AppBuilder;

    /// The state with which the instance of this id is started.
    fn state(&self, id: Uuid) -> Self::State;

    /// Whether the instance must be completed in the end.
    fn completes(&self) -> bool;

    /// Whether the effects are what they must be, and if not, what is wrong. Without a store a stage that is not acknowledged
    /// runs again, even if it has been undone meanwhile.
    fn check(&self, id: Uuid, with_store: bool) -> Result<(), String>;

    /// Waits until all effects are what they must be. Asked where there is no store.
    async fn over(&self, id: Uuid);
}

/// A generated workflow.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// What it was made of.
    seed: Option<u64>,
    pub(super) entry: &'static WorkflowEntry,
    pub(super) plan: Vec<Plan>,
    pub(super) world: World,
}

impl Planned {
    pub(super) fn new(entry: &'static WorkflowEntry, plan: &[Plan]) -> Self {
        Self { seed: None, entry, plan: plan.to_vec(), world: World::default() }
    }

    /// The one that follows from a seed, with queues that begin with `prefix`, if there is one.
    pub(super) fn of(seed: u64, prefix: Option<String>) -> Self {
        let plan = plan(seed, STEPS_MAX);
        let entry = prefix.map_or_else(|| entry(&plan), |prefix| entry_with(&plan, prefix));
        Self { seed: Some(seed), ..Self::new(entry, &plan) }
    }
}

impl Story for Planned {
    type State = Generated;

    fn name(&self) -> String {
        self.seed.map_or_else(|| "a plan".to_owned(), |seed| format!("seed {seed}"))
    }

    fn again(&self) -> Self {
        Self { seed: self.seed, ..Self::new(self.entry, &self.plan) }
    }

    fn equip(&self, process: AppBuilder) -> AppBuilder {
        process.workflow_entry(self.entry).provide(self.world.clone())
    }

    fn state(&self, _: Uuid) -> Generated {
        state(&self.plan)
    }

    fn completes(&self) -> bool {
        model(&self.plan).completed
    }

    fn check(&self, id: Uuid, with_store: bool) -> Result<(), String> {
        let (kept, must) = (self.world.kept(id), model(&self.plan).kept());
        if kept != must {
            return Err(format!("{kept:?} have had their effect, and it must be {must:?}"));
        }
        match self.world.wrong() {
            wrong if with_store && !wrong.is_empty() => Err(wrong.join(", ")),
            _ => Ok(()),
        }
    }

    async fn over(&self, id: Uuid) {
        let Model { applied, undone, .. } = model(&self.plan);
        self.world.wait_for(id, &applied, &undone).await;
    }
}
