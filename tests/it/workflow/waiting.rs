//! Stages that wait: for an event here, for replies, for workflows that they start, and across restarts below.

mod children;
mod everything;
mod replies;
mod restarts;
mod taking;

use std::time::Duration;

use mmate::prelude::*;
use mmate::store::{HistoryEvent, WorkflowStatus};
use mmate::workflow::InstanceId;

use super::World;

/// Says that an invoice was paid.
#[message(event, aggregate = "invoice", key = invoice)]
pub(super) struct InvoicePaid {
    pub(super) invoice: u32,
    pub(super) cents: u32,
}

/// Waits until an invoice is paid.
#[payload]
struct Invoicing {
    invoice: u32,
    fail: bool,
    cents: u32,
}

impl Invoicing {
    const fn of(invoice: u32) -> Self {
        Self { invoice, fail: false, cents: 0 }
    }
}

#[workflow(id = "invoicing")]
impl Invoicing {
    #[stage(delay = "10s", compensate = tear_up)]
    async fn write(&mut self, world: State<World>) {
        world.note("write");
    }

    #[stage(wait_for = InvoicePaid, key = invoice, within = "24h", compensate = pay_back)]
    async fn paid(&mut self, event: InvoicePaid, key: StageKey, world: State<World>) -> Result {
        assert!(key.as_str().ends_with(".paid"), "{key}");
        if self.fail {
            return Err(Reject::new("TOO_LITTLE", "not enough").into());
        }
        world.note(format!("paid {}", event.cents));
        self.cents = event.cents;
        Ok(())
    }

    async fn tear_up(&mut self, world: State<World>) {
        world.note("tear up");
    }

    async fn pay_back(&mut self, world: State<World>) {
        world.note("pay back");
    }
}

/// Waits for a while, and goes on without: once by `Option`, once by `continue_on_failure`.
#[payload]
struct Reminding {
    invoice: u32,
    wait: bool,
    reminded: bool,
}

#[workflow(id = "reminding")]
impl Reminding {
    #[stage(wait_for = InvoicePaid, key = invoice, within = "1h", when = waits, continue_on_failure)]
    async fn early(&mut self, event: InvoicePaid, world: State<World>) {
        world.note(format!("early {}", event.cents));
    }

    #[stage(wait_for = InvoicePaid, key = invoice, within = "1h")]
    async fn paid(&mut self, event: Option<InvoicePaid>, world: State<World>) {
        self.reminded = event.is_none();
        world.note(event.map_or("remind".to_owned(), |event| format!("paid {}", event.cents)));
    }

    fn waits(&self) -> bool {
        self.wait
    }
}

async fn app(world: &World) -> TestApp {
    let app = TestApp::builder().workflow::<Invoicing>().workflow::<Reminding>();
    app.provide(world.clone()).start().await.unwrap()
}

async fn status<W>(app: &TestApp, id: InstanceId<W>) -> (WorkflowStatus, String) {
    let view = app.workflows().get(id).await.unwrap().unwrap();
    (view.instance.status, view.stage)
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_the_instance_that_waits_for_its_key() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Invoicing::of(7)).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(status(&app, run.id).await, (WorkflowStatus::Waiting, "paid".to_owned()));
    app.publish(InvoicePaid { invoice: 8, cents: 1 }).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(status(&app, run.id).await, (WorkflowStatus::Waiting, "paid".to_owned()));
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    let done = app.workflows().wait(run.id, "5s").await.unwrap().completed().unwrap();
    assert_eq!((done.cents, world.seen()), (2, vec!["write".to_owned(), "paid 2".to_owned()]));
    let history = app.workflows().history(run.id).await.unwrap();
    let lines: Vec<(&str, HistoryEvent)> =
        history.iter().map(|line| (line.stage.as_str(), line.event)).collect();
    assert_eq!(
        lines,
        [
            ("", HistoryEvent::Started),
            ("write", HistoryEvent::Completed),
            ("paid", HistoryEvent::Waiting),
            ("paid", HistoryEvent::Completed),
            ("", HistoryEvent::Ended),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_before_the_instance_waits_is_kept_for_it() {
    let world = World::default();
    let app = app(&world).await;
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    let run = app.workflows().start(Invoicing::of(7)).await.unwrap();
    let done = app.workflows().wait(run.id, "15s").await.unwrap().completed().unwrap();
    assert_eq!(done.cents, 2);
    let history = app.workflows().history(run.id).await.unwrap();
    assert!(history.iter().all(|line| line.event != HistoryEvent::Waiting), "{history:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_come_in_time_fails_the_stage() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Invoicing::of(7)).await.unwrap();
    app.advance(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(status(&app, run.id).await.0, WorkflowStatus::Waiting);
    let ended = app.workflows().wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    let failure = ended.failure.unwrap();
    assert_eq!((&*failure.stage, &*failure.error), ("paid", "nothing came within 86400s"));
    assert_eq!(world.seen(), ["write", "tear up"]);
    // Too late: nobody waits any more.
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(world.seen(), ["write", "tear up"]);
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_takes_an_option_is_called_when_nothing_came() {
    let world = World::default();
    let app = app(&world).await;
    app.advance(Duration::from_secs(3)).await;
    let run = app
        .workflows()
        .start(Reminding { invoice: 7, wait: false, reminded: false })
        .await
        .unwrap();
    // To the second, though nobody looks after instances that often.
    let done = app.workflows().wait(run.id, "3602s").await.unwrap().completed().unwrap();
    assert!(done.reminded);
    let run = app
        .workflows()
        .start(Reminding { invoice: 8, wait: false, reminded: false })
        .await
        .unwrap();
    app.publish(InvoicePaid { invoice: 8, cents: 2 }).await.unwrap();
    app.workflows().wait(run.id, "5s").await.unwrap().completed().unwrap();
    assert_eq!(world.seen(), ["remind", "paid 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_goes_on_without_an_event_that_it_can_do_without() {
    let world = World::default();
    let app = app(&world).await;
    let run =
        app.workflows().start(Reminding { invoice: 7, wait: true, reminded: false }).await.unwrap();
    app.advance(Duration::from_secs(90 * 60)).await;
    assert_eq!(status(&app, run.id).await, (WorkflowStatus::Waiting, "paid".to_owned()));
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    app.workflows().wait(run.id, "5s").await.unwrap().completed().unwrap();
    assert_eq!(world.seen(), ["paid 2"]);
    let history = app.workflows().history(run.id).await.unwrap();
    let tolerated = history.iter().find(|line| line.event == HistoryEvent::Tolerated).unwrap();
    assert_eq!(tolerated.reason.as_deref(), Some("nothing came within 3600s"));
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_refuses_the_event_fails_and_is_not_undone() {
    let world = World::default();
    let app = app(&world).await;
    let state = Invoicing { fail: true, ..Invoicing::of(7) };
    let run = app.workflows().start(state).await.unwrap();
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    let ended = app.workflows().wait(run.id, "60s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    assert_eq!(ended.failure.unwrap().error, "TOO_LITTLE: not enough");
    assert_eq!(world.seen(), ["write", "tear up"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_twice_under_one_id_comes_once() {
    let world = World::default();
    let app = app(&world).await;
    for _ in 0..2 {
        app.publish(InvoicePaid { invoice: 7, cents: 2 }).id("one").await.unwrap();
        app.advance(Duration::from_secs(60)).await;
    }
    let state = Reminding { invoice: 7, wait: true, reminded: false };
    let run = app.workflows().start(state).await.unwrap();
    let done = app.workflows().wait(run.id, "3h").await.unwrap().completed().unwrap();
    assert!(done.reminded);
    assert_eq!(world.seen(), ["early 2", "remind"]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_waits_can_be_cancelled() {
    let world = World::default();
    let app = app(&world).await;
    let run = app.workflows().start(Invoicing::of(7)).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    app.workflows().cancel(run.id).await.unwrap();
    let ended = app.workflows().wait(run.id, "5s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Cancelled);
    app.publish(InvoicePaid { invoice: 7, cents: 2 }).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    assert_eq!(world.seen(), ["write", "tear up"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_an_app_with_stages_that_wait_does_not_start() {
    let app = TestApp::builder().workflow::<Invoicing>().provide(World::default());
    let error = app.config("workflows.store", "none").start().await.unwrap_err().to_string();
    assert!(
        error.contains(
            "workflow `invoicing` has stages that wait, and instances are kept in their messages alone\n"
        ),
        "{error}"
    );
    assert!(error.contains("help: name a database in `workflows.store`"), "{error}");
}
