//! Workflows: forward, back, and what is known of them.

mod apart;
mod chosen;
mod crashes;
mod databases;
mod deadly;
mod doubt;
mod generated;
mod groups;
mod leases;
mod numbers;
mod place;
mod places;
mod revival;
mod rivals;
mod scene;
mod schedules;
mod sharing;
mod stages;
mod story;
mod told;
mod versions;
mod waiting;
mod workers;
mod world;

use std::sync::{Arc, Mutex, PoisonError};

use mmate::prelude::*;
use mmate::store::{HistoryEvent, WorkflowStatus};

/// What the outside world has seen, in order.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Vec<String>>>);

impl World {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is told of a trip.
#[message(event, aggregate = "trip", key = trip)]
struct TripBooked {
    trip: String,
}

/// A trip, and which of its stages are to fail.
#[payload]
struct Trip {
    trip: String,
    fail: Vec<String>,
    notes: Vec<String>,
}

impl Trip {
    fn new(trip: &str, fail: &[&str]) -> Self {
        let fail = fail.iter().map(|&stage| stage.to_owned()).collect();
        Self { trip: trip.to_owned(), fail, notes: Vec::new() }
    }

    fn act(&mut self, stage: &str, world: &World) -> Result {
        if self.fail.iter().any(|fails| fails == stage) {
            return Err(Reject::new("NO", format!("{stage} is not possible")).into());
        }
        world.note(stage);
        self.notes.push(stage.to_owned());
        Ok(())
    }
}

#[workflow(id = "trip")]
impl Trip {
    #[stage(compensate = give_back_flight)]
    async fn flight(&mut self, world: State<World>) -> Result {
        self.act("flight", &world)
    }

    #[stage(compensate = give_back_hotel)]
    async fn hotel(&mut self, world: State<World>) -> Result {
        self.act("hotel", &world)
    }

    #[stage(continue_on_failure)]
    async fn insure(&mut self, world: State<World>) -> Result {
        self.act("insure", &world)
    }

    #[stage(irreversible)]
    async fn tell(&mut self, world: State<World>, publisher: Publisher) -> Result {
        publisher.publish(TripBooked { trip: self.trip.clone() }).await?;
        self.act("tell", &world)
    }

    async fn give_back_flight(&mut self, world: State<World>) -> Result {
        self.act("-flight", &world)
    }

    async fn give_back_hotel(&mut self, world: State<World>) -> Result {
        self.act("-hotel", &world)
    }
}

async fn app(world: &World) -> TestApp {
    TestApp::builder().workflow::<Trip>().provide(world.clone()).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn stages_run_in_order_and_the_result_is_the_state() {
    let world = World::default();
    let app = app(&world).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &[])).await.unwrap();
    let done = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(done.status, WorkflowStatus::Completed);
    assert_eq!(done.state.notes, ["flight", "hotel", "insure", "tell"]);
    assert_eq!(world.seen(), done.state.notes);
    assert_eq!(app.published::<TripBooked>().one().message.trip, "A");
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_undone_in_reverse_when_a_stage_fails() {
    let world = World::default();
    let app = app(&world).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &["tell"])).await.unwrap();
    let ended = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    assert_eq!(world.seen(), ["flight", "hotel", "insure", "-hotel", "-flight"]);
    let failure = ended.failure.unwrap();
    assert_eq!(
        (failure.stage.as_str(), failure.error.as_str()),
        ("tell", "NO: tell is not possible")
    );
    app.published::<TripBooked>().none();
    let history = workflows.history(run.id).await.unwrap();
    let lines: Vec<(&str, HistoryEvent)> =
        history.iter().map(|line| (line.stage.as_str(), line.event)).collect();
    assert_eq!(
        lines,
        [
            ("", HistoryEvent::Started),
            ("flight", HistoryEvent::Completed),
            ("hotel", HistoryEvent::Completed),
            ("insure", HistoryEvent::Completed),
            ("tell", HistoryEvent::Failed),
            ("hotel", HistoryEvent::Undone),
            ("flight", HistoryEvent::Undone),
            ("", HistoryEvent::Ended),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_workflow_goes_on_without_a_stage_that_it_can_do_without() {
    let world = World::default();
    let app = app(&world).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &["insure"])).await.unwrap();
    let ended = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Completed);
    assert_eq!(world.seen(), ["flight", "hotel", "tell"]);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_with_nothing_to_undo_has_failed() {
    let world = World::default();
    let app = app(&world).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &["flight"])).await.unwrap();
    let ended = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Failed);
    assert!(world.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_cannot_be_undone_is_stuck_until_somebody_skips() {
    let world = World::default();
    let app = app(&world).await;
    let workflows = app.workflows();
    let run = workflows.start(Trip::new("A", &["tell", "-hotel"])).await.unwrap();
    let stuck = workflows.wait(run.id, "10m").await.unwrap_err();
    assert_eq!(stuck.kind(), mmate::workflow::WorkflowErrorKind::Stuck);
    assert_eq!(workflows.get(run.id).await.unwrap().unwrap().stage, "hotel");
    assert_eq!(world.seen(), ["flight", "hotel", "insure"]);
    workflows.skip(run.id).await.unwrap();
    let ended = workflows.wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    assert_eq!(world.seen(), ["flight", "hotel", "insure", "-flight"]);
}
