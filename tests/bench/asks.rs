//! The contests of asking: how long an answer takes, and how many come a second.

use std::sync::Arc;

use crate::broker::Scene;
use crate::callers::{Ask, Callers};
use crate::cases::HAND_TUNED_MIN;
use crate::figures::Figure;
use crate::lapin::answering::Answering;
use crate::lapin::asking::{self as by_hand, deadline};
use crate::lapin::naive_asking::NaiveAsking;
use crate::lapin::question::{self, Letter};
use crate::mmate::asking as with_mmate;
use crate::mmate::service::Service;
use crate::question::PriceOrder;
use crate::rounds::Contest;
use crate::{Result, alike};

/// How many ask at a time.
pub(crate) const CALLERS: [u16; 3] = [1, 32, 256];

/// How many questions the responder answers at a time: as many as are asked.
pub(crate) const CONCURRENCY: u16 = 256;

/// The most multiple of a hand-tuned program's latency, where one asks at a time (B4).
const LATENCY_MAX: f64 = 1.03;

/// The least multiple of a naive program's throughput, where so many ask (B4).
const NAIVE_MIN: f64 = 1.9;
const NAIVE_CALLERS: u16 = 32;

/// Where answers arrive that are looked at.
const LOOKED_AT: &str = "bench.answers";

/// Adds the programs, after a look at what both sides write.
pub(crate) async fn add_all(
    contest: Contest,
    service: &Service,
    scene: &Arc<Scene>,
    callers: &Callers,
) -> Result<Contest> {
    check_questions(service, scene, &callers.question).await?;
    check_answers(service, scene, &callers.question).await?;
    let one = callers.count == 1;
    let latency = one.then_some(LATENCY_MAX);
    let naive = (callers.count == NAIVE_CALLERS).then_some(NAIVE_MIN);
    Ok(contest
        .turns_of(share(callers.count))
        .program(by_hand::Asking::new(service, callers))
        .program(NaiveAsking::new(service, callers))
        .against_first(None)
        .program(with_mmate::Asking::new(service, callers))
        .against_first((!one).then_some(HAND_TUNED_MIN))
        .against(1, naive)
        .compare(Figure::P50, 0, latency)
        .compare(Figure::P99, 0, latency)
        .compare(Figure::Cpu, 0, None))
}

/// Asking takes long where few ask, and then fewer questions tell as much.
const fn share(callers: u16) -> u32 {
    if callers == 1 { 10 } else { 2 }
}

/// Lets both sides ask without an answer.
async fn check_questions(service: &Service, scene: &Scene, question: &PriceOrder) -> Result {
    let by_hand = by_hand::Asker::start(&service.url).await?;
    let ours = unanswered(by_hand.ask(question.clone()), scene).await?;
    by_hand.stop().await?;
    let with_mmate = with_mmate::Asker::start(service, 1).await?;
    let theirs = unanswered(with_mmate.ask(question.clone()), scene).await?;
    with_mmate.stop().await;
    alike::compare(&ours, &theirs)
}

/// The question that is being asked, taken out of its queue.
async fn unanswered<T>(
    asking: impl Future<Output = Result<T>>,
    scene: &Scene,
) -> Result<::lapin::message::Delivery> {
    tokio::select! {
        ended = asking => Err(ended.err().unwrap_or_else(|| "somebody else answers".into())),
        question = scene.take_one() => question,
    }
}

/// Lets both sides answer one question.
async fn check_answers(service: &Service, scene: &Scene, question: &PriceOrder) -> Result {
    scene.declare_exclusive(LOOKED_AT).await?;
    let Letter { body, properties, .. } = question::ask(question, &LOOKED_AT.into(), deadline())?;
    let ask = || scene.send(&body, properties.clone());
    let by_hand = Answering::start(service).await?;
    ask().await?;
    let ours = scene.take_from(LOOKED_AT).await?;
    by_hand.stop().await?;
    let with_mmate = service.start_answering().await?;
    ask().await?;
    let theirs = scene.take_from(LOOKED_AT).await?;
    with_mmate.stop().await;
    alike::compare(&ours, &theirs)
}
