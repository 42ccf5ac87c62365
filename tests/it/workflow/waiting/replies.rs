//! Stages that ask another service and sleep until its reply.

use std::time::Duration;

use mmate::prelude::*;
use mmate::store::{HistoryEvent, WorkflowStatus};

use super::super::World;
use super::status;

/// Asks for goods to be set aside.
#[message(command, reply = GoodsHeld)]
pub(super) struct HoldGoods {
    pub(super) goods: String,
}

/// They are set aside.
#[message(reply)]
pub(super) struct GoodsHeld {
    pub(super) shelf: u32,
}

#[handler(retry(attempts = 1))]
pub(super) async fn hold_goods(hold: HoldGoods, world: State<World>) -> Result<GoodsHeld> {
    if hold.goods != "salt" {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    if hold.goods == "smoke" {
        return Err(HandlerError::msg("set aside, and then it went up"));
    }
    if hold.goods == "gold" {
        return Err(Reject::new("SOLD_OUT", "no gold").into());
    }
    world.note(format!("hold {}", hold.goods));
    Ok(GoodsHeld { shelf: 4 })
}

/// The same of a service that is not there.
#[message(command, service = "nobody", reply = GoodsHeld)]
struct HoldElsewhere {
    goods: String,
}

/// What is to go wrong is in the names of the goods.
#[payload]
struct Picking {
    goods: String,
    shelf: u32,
    asked: u32,
}

impl Picking {
    fn of(goods: &str) -> Self {
        Self { goods: goods.to_owned(), shelf: 0, asked: 0 }
    }
}

#[workflow(id = "picking")]
impl Picking {
    #[stage(compensate = rub_out)]
    async fn list(&mut self, world: State<World>) {
        world.note("list");
    }

    #[stage(reply = held, within = "2m", compensate = put_back, timeout = "5s", when = has_goods, retry(attempts = 2, backoff = fixed("1s")))]
    async fn hold(&self, stage: StageInfo, world: State<World>) -> Result<HoldGoods> {
        world.note("ask");
        if self.goods == "twice" && stage.attempt == 1 {
            return Err(HandlerError::msg("not yet"));
        }
        Ok(HoldGoods { goods: self.goods.clone() })
    }

    async fn held(&mut self, reply: GoodsHeld, stage: StageInfo, world: State<World>) -> Result {
        world.note(format!("held {}", reply.shelf));
        self.shelf = reply.shelf;
        self.asked += 1;
        match self.goods.as_str() {
            "glass" => Err(Reject::new("BROKEN", "there it goes").into()),
            "slow glass" if stage.attempt == 1 => std::future::pending().await,
            _ => Ok(()),
        }
    }

    #[stage(reply = held_elsewhere, within = "2m", compensate = put_back, when = is_far)]
    async fn hold_elsewhere(&self) -> Result<HoldElsewhere> {
        Ok(HoldElsewhere { goods: self.goods.clone() })
    }

    async fn held_elsewhere(&mut self, _: GoodsHeld, world: State<World>) {
        world.note("held elsewhere");
    }

    #[stage(reply = wrapped, within = "2m", continue_on_failure, when = is_gift, compensate = put_back)]
    async fn wrap(&self) -> Result<HoldElsewhere> {
        Ok(HoldElsewhere { goods: "paper".to_owned() })
    }

    async fn wrapped(&mut self, _: GoodsHeld) {}

    #[stage]
    async fn end(&mut self, world: State<World>) -> Result {
        world.note("end");
        if self.goods == "gift of lead" { Err(Reject::new("HEAVY", "no").into()) } else { Ok(()) }
    }

    async fn rub_out(&mut self, world: State<World>) {
        world.note("rub out");
    }

    async fn put_back(&mut self, stage: StageInfo, world: State<World>) {
        world.note(format!("put back {}", stage.stage));
    }

    fn has_goods(&self) -> bool {
        !self.goods.is_empty()
    }

    fn is_far(&self) -> bool {
        self.goods == "far"
    }

    fn is_gift(&self) -> bool {
        self.goods.starts_with("gift")
    }
}

/// Runs a picking to its end; gives its status, its error and what the world has seen.
async fn pick(goods: &str) -> (WorkflowStatus, String, Vec<String>) {
    let world = World::default();
    let app = TestApp::builder().workflow::<Picking>().handler::<hold_goods>();
    let app = app.provide(world.clone()).start().await.unwrap();
    let run = app.workflows().start(Picking::of(goods)).await.unwrap();
    let ended = app.workflows().wait(run.id, "10m").await.unwrap();
    let error = ended.failure.map(|failure| format!("{}: {}", failure.stage, failure.error));
    app.advance(Duration::from_secs(600)).await;
    (ended.status, error.unwrap_or_default(), world.seen())
}

#[tokio::test(start_paused = true)]
async fn the_reply_goes_to_the_method_that_the_stage_names() {
    let (status, error, seen) = pick("tea").await;
    assert_eq!((status, &*error), (WorkflowStatus::Completed, ""));
    assert_eq!(seen, ["list", "ask", "hold tea", "held 4", "end"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_other_side_works_nothing_is_held() {
    let world = World::default();
    let app = TestApp::builder().workflow::<Picking>().handler::<hold_goods>();
    let app = app.provide(world.clone()).start().await.unwrap();
    let run = app.workflows().start(Picking::of("tea")).await.unwrap();
    app.advance(Duration::from_secs(2)).await;
    assert_eq!(status(&app, run.id).await, (WorkflowStatus::Waiting, "hold".to_owned()));
    let view = app.workflows().get(run.id).await.unwrap().unwrap();
    assert_eq!(view.instance.owner, None);
    app.workflows().wait(run.id, "1m").await.unwrap().completed().unwrap();
    let asked = app.published::<HoldGoods>().one();
    assert_eq!(asked.meta.correlation_id, Some(asked.meta.id));
}

#[tokio::test(start_paused = true)]
async fn an_asking_method_that_fails_is_tried_again_and_asks_once() {
    let (status, _, seen) = pick("twice").await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(seen, ["list", "ask", "ask", "hold twice", "held 4", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_the_stage_which_is_not_undone() {
    let (status, error, seen) = pick("gold").await;
    assert_eq!((status, &*error), (WorkflowStatus::Compensated, "hold: SOLD_OUT: no gold"));
    assert_eq!(seen, ["list", "ask", "rub out"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_failed_may_have_done_it_so_the_stage_is_undone() {
    let (status, error, seen) = pick("smoke").await;
    assert_eq!(status, WorkflowStatus::Compensated);
    assert!(error.starts_with("hold: REQUEST_FAILED: "), "{error}");
    assert_eq!(seen, ["list", "ask", "put back hold", "rub out"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_reply_nobody_knows_so_the_stage_is_undone() {
    let (status, error, seen) = pick("far").await;
    let nothing = "hold_elsewhere: nothing came within 120s";
    assert_eq!((status, &*error), (WorkflowStatus::Compensated, nothing));
    let undone = ["put back hold_elsewhere", "put back hold", "rub out"];
    assert_eq!(seen[4..], undone, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_is_undone_if_its_answer_cannot_be_taken() {
    let (status, error, seen) = pick("glass").await;
    assert_eq!((status, &*error), (WorkflowStatus::Compensated, "hold: BROKEN: there it goes"));
    assert_eq!(seen, ["list", "ask", "hold glass", "held 4", "put back hold", "rub out"]);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_takes_the_answer_too_slowly_is_called_again_with_it() {
    let (status, _, seen) = pick("slow glass").await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(seen, ["list", "ask", "hold slow glass", "held 4", "held 4", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_condition_does_not_hold_neither_asks_nor_waits() {
    let (status, _, seen) = pick("").await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(seen, ["list", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_goes_on_without_a_reply_that_it_can_do_without() {
    let (status, _, seen) = pick("gift of tea").await;
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(seen.last().unwrap(), "end");
    // What went wrong without harm is not undone later, as with every stage.
    let (status, _, seen) = pick("gift of lead").await;
    assert_eq!(status, WorkflowStatus::Compensated);
    assert_eq!(seen[4..], ["end", "put back hold", "rub out"], "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_undone_when_the_instance_is_cancelled_before_the_reply() {
    let world = World::default();
    let app = TestApp::builder().workflow::<Picking>().handler::<hold_goods>();
    let app = app.provide(world.clone()).start().await.unwrap();
    let run = app.workflows().start(Picking::of("tea")).await.unwrap();
    app.advance(Duration::from_secs(2)).await;
    app.workflows().cancel(run.id).await.unwrap();
    let ended = app.workflows().wait(run.id, "1m").await.unwrap();
    assert_eq!(ended.status, WorkflowStatus::Cancelled);
    app.advance(Duration::from_secs(600)).await;
    let mut seen = world.seen();
    seen.retain(|what| what != "hold tea");
    assert_eq!(seen, ["list", "ask", "put back hold", "rub out"]);
    let history = app.workflows().history(run.id).await.unwrap();
    assert_eq!(history.iter().filter(|line| line.event == HistoryEvent::Undone).count(), 2);
}
