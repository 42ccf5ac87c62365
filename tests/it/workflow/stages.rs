//! What stages may be: in parallel, left out, repeated, later, tried again, cut off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mmate::prelude::*;
use mmate::store::{HistoryEvent, WorkflowStatus};
use mmate::workflow::{Begun, WorkflowErrorKind, WorkflowFailed};
use mmate_tests::Probe;
use tokio::time::Instant;

/// How often each key was seen.
#[derive(Clone, Debug, Default)]
struct Keys(Arc<Mutex<HashMap<String, u32>>>);

impl Keys {
    fn see(&self, key: &StageKey) -> u32 {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = keys.entry(key.to_string()).or_default();
        *seen += 1;
        *seen
    }
}

#[payload]
struct Parcel {
    abroad: bool,
    boxes: u32,
    packed: u32,
    fail: String,
    price: Option<u32>,
    duty: Option<u32>,
    slips: Vec<String>,
}

impl Parcel {
    fn new(abroad: bool, boxes: u32) -> Self {
        let (packed, fail, slips) = (0, String::new(), Vec::new());
        Self { abroad, boxes, packed, fail, price: None, duty: None, slips }
    }

    fn failing(fail: &str) -> Self {
        Self { fail: fail.to_owned(), ..Self::new(true, 1) }
    }
}

/// Sends boxes, at home and abroad.
#[workflow(id = "parcel", events)]
impl Parcel {
    #[stage(repeat = has_more, compensate = unpack)]
    async fn pack(&mut self, key: StageKey) {
        self.packed += 1;
        self.slips.push(key.as_str().rsplit_once("pack").map_or("", |(_, round)| round).to_owned());
    }

    #[stage(parallel = offers, compensate = drop_offer)]
    async fn price(&self, probe: State<Probe>) -> Result<u32> {
        probe.note("price begins");
        tokio::time::sleep(Duration::from_secs(2)).await;
        probe.note("price ends");
        if self.fail == "price" { Err(HandlerError::msg("no price")) } else { Ok(7 * self.boxes) }
    }

    #[stage(parallel = offers, when = is_abroad, compensate = drop_offer, retry(attempts = 1))]
    async fn customs(&self, probe: State<Probe>) -> Result<u32> {
        probe.note("customs begins");
        tokio::time::sleep(Duration::from_secs(1)).await;
        probe.note("customs ends");
        if self.fail == "customs" { Err(HandlerError::msg("no entry")) } else { Ok(3) }
    }

    #[stage(join = offers)]
    async fn sum_up(&mut self, price: u32, duty: Option<u32>, probe: State<Probe>) {
        probe.note("sum");
        (self.price, self.duty) = (Some(price), duty);
    }

    #[stage(delay = "1h", timeout = "5s", retry(attempts = 2, backoff = fixed("1m")))]
    async fn send(&mut self, key: StageKey, keys: State<Keys>, probe: State<Probe>) -> Result {
        let seen = keys.see(&key);
        probe.note(format!("send {seen}"));
        match self.fail.as_str() {
            "send once" if seen == 1 => Err(HandlerError::msg("no van")),
            "send hangs" => std::future::pending().await,
            "send" => Err(HandlerError::msg("no van")),
            _ => Ok(()),
        }
    }

    async fn unpack(&mut self, key: StageKey, probe: State<Probe>) {
        self.packed -= 1;
        let round = key.as_str().rsplit_once("pack").map_or("", |(_, round)| round).to_owned();
        probe.note(format!("unpack{round}"));
    }

    async fn drop_offer(&mut self, stage: StageInfo, probe: State<Probe>) {
        probe.note(format!("drop {}", stage.stage));
    }

    fn has_more(&self) -> bool {
        self.packed < self.boxes
    }

    fn is_abroad(&self) -> bool {
        self.abroad
    }
}

async fn app(probe: &Probe) -> TestApp {
    let app = TestApp::builder().workflow::<Parcel>().workflow::<Slow>().handler::<order_parcel>();
    app.provide(probe.clone()).provide(Keys::default()).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn branches_run_beside_each_other_and_their_join_gets_their_values() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let run = app.workflows().start(Parcel::new(true, 2)).await.unwrap();
    let done = app.workflows().wait(run.id, "2h").await.unwrap().completed().unwrap();
    assert_eq!((done.price, done.duty), (Some(14), Some(3)));
    assert_eq!(
        probe.notes(),
        ["price begins", "customs begins", "customs ends", "price ends", "sum", "send 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_branch_whose_condition_does_not_hold_is_left_out() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let run = app.workflows().start(Parcel::new(false, 1)).await.unwrap();
    let done = app.workflows().wait(run.id, "2h").await.unwrap().completed().unwrap();
    assert_eq!((done.price, done.duty), (Some(7), None));
    let history = app.workflows().history(run.id).await.unwrap();
    let skipped = history.iter().find(|line| line.event == HistoryEvent::Skipped).unwrap();
    assert_eq!(skipped.stage, "customs");
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_repeated_with_another_key_each_time_and_every_round_is_undone() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let run =
        app.workflows().start(Parcel { boxes: 3, ..Parcel::failing("customs") }).await.unwrap();
    let ended = app.workflows().wait(run.id, "2h").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    assert_eq!(
        (ended.state.packed, ended.state.slips),
        (0, ["", ".1", ".2"].map(str::to_owned).to_vec())
    );
    let undone: Vec<String> =
        probe.notes().into_iter().skip_while(|note| note != "price ends").skip(1).collect();
    // The branch that failed and said so is not undone, the one beside it is.
    assert_eq!(undone, ["drop price", "unpack.2", "unpack.1", "unpack"]);
    let failed = app.published::<WorkflowFailed>().one().message;
    assert_eq!((failed.failed_stage_id.as_str(), failed.error.as_str()), ("customs", "no entry"));
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_nothing_and_is_kept_to_the_second() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let began = Instant::now();
    let run = app.workflows().start(Parcel::new(false, 1)).await.unwrap();
    app.advance(Duration::from_secs(60)).await;
    let view = app.workflows().get(run.id).await.unwrap().unwrap();
    assert_eq!((view.instance.status, view.stage.as_str()), (WorkflowStatus::Waiting, "send"));
    assert_eq!(view.instance.owner, None);
    app.workflows().wait(run.id, "2h").await.unwrap();
    let took = began.elapsed().as_secs();
    assert!((3_602..3_605).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_is_tried_again_has_the_same_key() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let run = app.workflows().start(Parcel::failing("send once")).await.unwrap();
    app.workflows().wait(run.id, "2h").await.unwrap().completed().unwrap();
    assert_eq!(probe.notes().iter().filter(|note| note.starts_with("send")).count(), 2);
    assert_eq!(probe.notes().last().unwrap(), "send 2");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_takes_too_long_is_cut_off() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let run = app.workflows().start(Parcel::failing("send hangs")).await.unwrap();
    let ended = app.workflows().wait(run.id, "2h").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Compensated);
    let error = ended.failure.unwrap().error;
    assert!(error.contains("did not end within 5s"), "{error}");
}

/// The whole may take a minute.
#[payload]
struct Slow {
    step: String,
}

#[workflow(id = "slow", timeout = "1m")]
impl Slow {
    #[stage(compensate = undo)]
    async fn first(&mut self) {
        self.step = "first".to_owned();
    }

    #[stage(delay = "50s")]
    async fn second(&mut self) {
        self.step = "second".to_owned();
    }

    #[stage(timeout = "30s", compensate = undo)]
    async fn third(&mut self, probe: State<Probe>) -> Result {
        probe.note("third begins");
        tokio::time::sleep(Duration::from_secs(20)).await;
        probe.note("third ends");
        Ok(())
    }

    async fn undo(&mut self, stage: StageInfo, probe: State<Probe>) {
        probe.note(format!("undo {} since {}", stage.stage, stage.failure.unwrap_or_default()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_takes_too_long_is_undone_what_is_unknown_included() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let began = Instant::now();
    let run = app.workflows().start(Slow { step: String::new() }).await.unwrap();
    let ended = app.workflows().wait(run.id, "2h").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::TimedOut);
    let why = "the workflow was not at its end after 60s";
    assert_eq!(
        probe.notes(),
        [
            "third begins".to_owned(),
            format!("undo third since {why}"),
            format!("undo first since {why}")
        ]
    );
    assert!(began.elapsed() < Duration::from_secs(75), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_instance_is_undone_also_while_it_waits() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let workflows = app.workflows();
    let run = workflows.start(Slow { step: String::new() }).await.unwrap();
    app.advance(Duration::from_secs(10)).await;
    workflows.cancel(run.id).await.unwrap();
    let ended = workflows.wait(run.id, "5s").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Cancelled);
    assert_eq!(probe.notes(), ["undo first since it was cancelled"]);
    let again = workflows.cancel(run.id).await.unwrap_err();
    assert_eq!(again.kind(), WorkflowErrorKind::TooLate);
    let unknown = workflows.cancel(uuid::Uuid::nil()).await.unwrap_err();
    assert_eq!(unknown.kind(), WorkflowErrorKind::NotFound);
}

#[message(command)]
struct OrderParcel {
    boxes: u32,
    fail: bool,
}

#[handler(retry(attempts = 1))]
async fn order_parcel(order: OrderParcel, workflows: Workflows, probe: State<Probe>) -> Result {
    let run = workflows.start(Parcel::new(false, order.boxes)).await?;
    assert_eq!(run.begun, Begun::Later);
    probe.note(run.id.to_string());
    if order.fail { Err(HandlerError::msg("no order")) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_starts_begins_only_if_the_handler_succeeds() {
    let probe = Probe::default();
    let app = app(&probe).await;
    for fail in [true, false] {
        app.send(OrderParcel { boxes: 1, fail }).correlation_id("flow").await.unwrap();
        app.advance(Duration::from_secs(1)).await;
    }
    let ids: Vec<uuid::Uuid> = probe.notes().iter().filter_map(|note| note.parse().ok()).collect();
    let (failed, started) = (ids[0], ids[1]);
    assert!(app.workflows().get(failed).await.unwrap().is_none());
    let ended = app.workflows().wait::<Parcel>(started.into(), "2h").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_used_starts_nothing() {
    let probe = Probe::default();
    let app = app(&probe).await;
    let id = uuid::Uuid::from_u128(7);
    for (boxes, begun) in [(1, Begun::Now), (2, Begun::Before)] {
        let run = app.workflows().start(Parcel::new(false, boxes)).id(id).await.unwrap();
        assert_eq!((run.id.uuid(), run.begun), (id, begun));
    }
    let other = app.workflows().start(Slow { step: String::new() }).id(id).await.unwrap_err();
    assert_eq!(other.kind(), WorkflowErrorKind::Invalid);
    assert!(other.to_string().contains("is an instance of workflow `parcel`, so none of `slow`"));
    let ended = app.workflows().wait::<Parcel>(id.into(), "2h").await.unwrap();
    assert_eq!(ended.state.boxes, 1);
    // Also when it has ended.
    let again = app.workflows().start(Parcel::new(false, 3)).id(id).await.unwrap();
    assert_eq!(again.begun, Begun::Before);
    assert_eq!(probe.notes().iter().filter(|note| note.starts_with("send")).count(), 1);
}
