//! Which contests there are, and what each ratio is held against.

use std::sync::Arc;

use mmate::transport::QueueKind;

use crate::broker::Scene;
use crate::callers::Callers;
use crate::channel::BareChannel;
use crate::figures::Figure;
use crate::lapin::publish::Publishing as ByHand;
use crate::lapin::wire::Dress;
use crate::message::OrderPlaced;
use crate::mmate::memory::InMemory;
use crate::mmate::publish::Publishing as WithMmate;
use crate::mmate::service::Service;
use crate::options::{Group, Options};
use crate::question::PriceOrder;
use crate::rounds::Contest;
use crate::{Result, alike, asks, lapin, mmate as with_mmate};

/// The least share of a hand-tuned program's throughput (B1 to B4).
pub(crate) const HAND_TUNED_MIN: f64 = 0.97;

/// The least multiple of a naive program's throughput (B2).
const NAIVE_MIN: f64 = 2.5;

const KINDS: [QueueKind; 2] = [QueueKind::Classic, QueueKind::Quorum];
const SMALL_BYTES: usize = 256;
const LARGE_BYTES: usize = 4_096;

/// A contest that is not set up yet.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    group: Group,
    payload_bytes: usize,
    service: Service,
    /// How many ask at a time.
    callers: u16,
}

/// The contests of the chosen groups.
pub(crate) fn plan(options: &Options, url: &str) -> Vec<Case> {
    let cases = options.groups().into_iter().flat_map(|group| cases_of(group, url));
    cases.filter(|case| case.title().contains(&options.case)).collect()
}

fn cases_of(group: Group, url: &str) -> Vec<Case> {
    let case = |payload_bytes, service| Case { group, payload_bytes, service, callers: 0 };
    let each_kind = |bytes| KINDS.map(|kind| case(bytes, Service::new(url, kind))).to_vec();
    match group {
        Group::Publish => [each_kind(SMALL_BYTES), each_kind(LARGE_BYTES)].concat(),
        Group::Consume => {
            let settings = [(100, 1), (100, 100), (1_000, 1), (1_000, 100)];
            let service = |kind, (prefetch, concurrency)| Service {
                prefetch,
                concurrency,
                ..Service::new(url, kind)
            };
            let of_kind = |kind| settings.map(|setting| case(SMALL_BYTES, service(kind, setting)));
            KINDS.into_iter().flat_map(of_kind).collect()
        }
        Group::Ask => {
            let of_kind = |kind| {
                asks::CALLERS.map(|callers| Case {
                    callers,
                    ..case(SMALL_BYTES, Service::of_questions(url, kind, asks::CONCURRENCY))
                })
            };
            KINDS.into_iter().flat_map(of_kind).collect()
        }
        Group::EndToEnd | Group::Properties => each_kind(SMALL_BYTES),
        Group::Memory => vec![case(SMALL_BYTES, Service::new(url, QueueKind::Classic))],
    }
}

impl Case {
    /// What stands in the table.
    pub(crate) fn title(&self) -> String {
        let Service { kind, prefetch, concurrency, .. } = &self.service;
        let (kind, bytes) = (format!("{kind:?}").to_lowercase(), self.payload_bytes);
        match self.group {
            Group::Publish => format!("publish, {kind}, {bytes} B"),
            Group::Consume => {
                format!("consume, {kind}, prefetch {prefetch}, concurrency {concurrency}")
            }
            Group::EndToEnd => format!("end to end, {kind}"),
            Group::Ask => format!("ask, {kind}, {} at a time", self.callers),
            Group::Properties => format!("properties, {kind}"),
            Group::Memory => "in one process".to_owned(),
        }
    }

    /// Makes the queue and connects the programs.
    pub(crate) async fn open(&self) -> Result<Contest> {
        let contest = Contest::new(self.title());
        let order = OrderPlaced::of_bytes(self.payload_bytes);
        if self.group == Group::Memory {
            return Ok(contest
                .program(BareChannel::new(order.clone()))
                .program(InMemory::new(order))
                .against_first(None));
        }
        let (service, scene) = (&self.service, Scene::open(&self.service).await?);
        let contest = match self.group {
            Group::Publish => publishing(contest, service, &scene, &order).await?,
            Group::Consume => contest
                .program(lapin::consume::Consuming::new(service, &scene, &order))
                .program(lapin::naive::Naive::new(service, &scene, &order))
                .against_first(None)
                .program(with_mmate::consume::Consuming::new(service, &scene, &order))
                .against_first(Some(HAND_TUNED_MIN))
                .against(1, Some(NAIVE_MIN)),
            Group::EndToEnd => contest
                .program(lapin::end_to_end::EndToEnd::new(service, &scene, &order))
                .program(with_mmate::end_to_end::EndToEnd::new(service, &scene, &order))
                .against_first(Some(HAND_TUNED_MIN)),
            Group::Ask => {
                let question = PriceOrder::of_bytes(self.payload_bytes);
                let callers = Callers { count: self.callers, question };
                asks::add_all(contest, service, &scene, &callers).await?
            }
            Group::Properties | Group::Memory => {
                lapin::properties::add_all(contest, &service.url, &scene, &order).await?
            }
        };
        Ok(contest.close(async move { scene.close().await }))
    }
}

async fn publishing(
    contest: Contest,
    service: &Service,
    scene: &Arc<Scene>,
    order: &OrderPlaced,
) -> Result<Contest> {
    let by_hand = ByHand::open("hand-tuned", &service.url, scene, order, Dress::MMATE).await?;
    let each = WithMmate::each(service, scene, order).await?;
    alike::check(scene, by_hand.publish(1), each.publish(1)).await?;
    Ok(contest
        .program(by_hand)
        .program(each)
        .against_first(Some(HAND_TUNED_MIN))
        .compare(Figure::Cpu, 0, None)
        .program(WithMmate::all(service, scene, order).await?)
        .against_first(Some(HAND_TUNED_MIN))
        .compare(Figure::Cpu, 0, None))
}
