//! Stages that start another workflow and sleep until its end.

use std::time::Duration;

use mmate::prelude::*;
use mmate::store::{InstanceFilter, WorkflowStatus};

use super::super::World;

/// What is started by another workflow.
#[payload]
pub(super) struct Errand {
    pub(super) way: String,
    pub(super) steps: u32,
}

#[workflow(id = "errand")]
impl Errand {
    #[stage(compensate = come_back)]
    async fn go(&mut self, world: State<World>) {
        world.note("go");
        self.steps += 1;
    }

    #[stage(delay = "1h", when = is_far)]
    async fn fetch(&mut self, world: State<World>) -> Result {
        if self.way == "closed" {
            return Err(Reject::new("CLOSED", "no way").into());
        }
        world.note("fetch");
        self.steps += 1;
        Ok(())
    }

    fn is_far(&self) -> bool {
        self.way != "near"
    }

    async fn come_back(&mut self, world: State<World>) {
        world.note("come back");
    }
}

/// What starts it.
#[payload]
struct Household {
    way: String,
    impatient: bool,
    steps: u32,
    ended: String,
}

impl Household {
    fn of(way: &str) -> Self {
        Self { way: way.to_owned(), impatient: false, steps: 0, ended: String::new() }
    }
}

#[workflow(id = "household")]
impl Household {
    #[stage(compensate = forget)]
    async fn plan(&mut self, world: State<World>) {
        world.note("plan");
    }

    #[stage(ended = back, within = "3d", compensate = thank, when = has_time)]
    async fn send(&self) -> Result<Errand> {
        Ok(Errand { way: self.way.clone(), steps: 0 })
    }

    async fn back(&mut self, ended: Ended<Errand>, world: State<World>) -> Result {
        world.note(format!("back {}", ended.status));
        self.steps = ended.state.steps;
        self.ended = ended.failure.map(|failure| failure.error).unwrap_or_default();
        if ended.status == WorkflowStatus::Completed {
            Ok(())
        } else {
            Err(Reject::new("EMPTY", "empty hands").into())
        }
    }

    #[stage(ended = soon, within = "10m", when = is_impatient)]
    async fn send_again(&self) -> Result<Errand> {
        Ok(Errand { way: self.way.clone(), steps: 0 })
    }

    async fn soon(&mut self, _: Ended<Errand>) {}

    async fn forget(&mut self, world: State<World>) {
        world.note("forget");
    }

    async fn thank(&mut self, world: State<World>) {
        world.note("thank");
    }

    fn has_time(&self) -> bool {
        !self.impatient
    }

    fn is_impatient(&self) -> bool {
        self.impatient
    }
}

async fn app(world: &World) -> TestApp {
    let app = TestApp::builder().workflow::<Household>().workflow::<Errand>();
    app.provide(world.clone()).start().await.unwrap()
}

async fn statuses(app: &TestApp, workflow: &str) -> Vec<WorkflowStatus> {
    let mut filter = InstanceFilter::default();
    filter.workflows = vec![workflow.to_owned()];
    let views = app.workflows().list(&filter).await.unwrap();
    views.iter().map(|view| view.instance.status).collect()
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_a_stage_starts_comes_to_the_method_that_it_names() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Household::of("open")).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(statuses(&app, "household").await, [WorkflowStatus::Waiting]);
    assert_eq!(statuses(&app, "errand").await, [WorkflowStatus::Waiting]);
    let done = app.workflows().wait(run.id, "2h").await.unwrap().completed().unwrap();
    assert_eq!((done.steps, &*done.ended), (2, ""));
    assert_eq!(world.seen(), ["plan", "go", "fetch", "back completed"]);
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_what_a_stage_starts_comes_to_the_method_that_it_names() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Household::of("closed")).await.unwrap();
    let ended = app.workflows().wait(run.id, "2h").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    assert_eq!(ended.failure.unwrap().error, "EMPTY: empty hands");
    assert_eq!(world.seen(), ["plan", "go", "come back", "back compensated", "thank", "forget"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_stage_starts_is_cancelled_with_it() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Household::of("open")).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    app.workflows().cancel(run.id).await.unwrap();
    let ended = app.workflows().wait(run.id, "1m").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Cancelled);
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(statuses(&app, "errand").await, [WorkflowStatus::Cancelled]);
    let mut seen = world.seen();
    seen.sort_unstable();
    assert_eq!(seen, ["come back", "forget", "go", "plan", "thank"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cancelled() {
    let world = World::default();
    let app = app(&world).await;
    let state = Household { impatient: true, ..Household::of("open") };
    let run = app.workflows().start(state).await.unwrap();
    let ended = app.workflows().wait(run.id, "11m").await.unwrap();
    assert_eq!(ended.failure.unwrap().error, "nothing came within 600s");
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(statuses(&app, "errand").await, [WorkflowStatus::Cancelled]);
    app.advance(Duration::from_secs(7_200)).await;
    assert_eq!(world.seen(), ["plan", "go", "forget", "come back"]);
}

#[tokio::test(start_paused = true)]
async fn an_app_without_the_workflow_that_a_stage_starts_does_not_start() {
    let app = TestApp::builder().workflow::<Household>().provide(World::default());
    let error = app.start().await.unwrap_err().to_string();
    for what in [
        "stage `send` of workflow `household` starts `errand`, which is no workflow of this app\n",
        "help: give it to the app, too: `.workflow::<Errand>()`\n",
    ] {
        assert!(error.contains(what), "{error}");
    }
}
