//! A workflow that waits in all three ways, and how an instance of it must end.

use std::collections::BTreeSet;

use mmate::prelude::*;
use mmate::runtime::AppBuilder;
use mmate::workflow::{Workflow, WorkflowEntry};
use uuid::Uuid;

use super::super::World;
use super::super::story::Story;
use super::InvoicePaid;
use super::children::Errand;
use super::replies::{GoodsHeld, HoldGoods, hold_goods};

/// Waits in all three ways.
#[payload]
pub(super) struct Everything {
    pub(super) invoice: u32,
    pub(super) goods: String,
    pub(super) way: String,
    /// Whether its own first stage pays the invoice.
    pub(super) pays: bool,
    /// Whether its last stage fails.
    pub(super) fails: bool,
    pub(super) cents: u32,
    pub(super) shelf: u32,
    pub(super) steps: u32,
}

impl Everything {
    pub(super) fn new(pays: bool, fails: bool) -> Self {
        let (goods, way) = ("tea".to_owned(), "far".to_owned());
        Self { invoice: 7, goods, way, pays, fails, cents: 0, shelf: 0, steps: 0 }
    }
}

#[workflow(id = "everything")]
impl Everything {
    #[stage]
    async fn begin(&mut self, publisher: Publisher) -> Result {
        if self.pays {
            publisher.publish(InvoicePaid { invoice: self.invoice, cents: 5 }).await?;
        }
        Ok(())
    }

    #[stage(wait_for = InvoicePaid, key = invoice, within = "1h", compensate = undo)]
    async fn paid(&mut self, event: InvoicePaid, key: StageKey, world: State<World>) {
        self.cents = event.cents;
        world.note(key.as_str());
    }

    #[stage(reply = held, within = "1h", compensate = undo)]
    async fn hold(&self) -> Result<HoldGoods> {
        Ok(HoldGoods { goods: self.goods.clone() })
    }

    async fn held(&mut self, reply: GoodsHeld, key: StageKey, world: State<World>) {
        self.shelf = reply.shelf;
        world.note(key.as_str());
    }

    #[stage(ended = came_back, within = "3h", compensate = undo)]
    async fn send(&self) -> Result<Errand> {
        Ok(Errand { way: self.way.clone(), steps: 0 })
    }

    async fn came_back(&mut self, ended: Ended<Errand>, key: StageKey, world: State<World>) {
        self.steps = ended.state.steps;
        world.note(key.as_str());
    }

    #[stage]
    async fn end(&mut self) -> Result {
        if self.fails { Err(Reject::new("NO", "not this time").into()) } else { Ok(()) }
    }

    async fn undo(&mut self, key: StageKey, world: State<World>) {
        world.note(key.undo().as_str());
    }
}

/// An instance that pays its invoice itself, holds goods, and sends somebody on an errand nearby.
#[derive(Clone, Debug)]
pub(super) struct Errands {
    entries: [&'static WorkflowEntry; 2],
    goods: &'static str,
    fails: bool,
    world: World,
}

impl Errands {
    /// To hold tea takes five seconds.
    pub(super) fn with_tea(fails: bool) -> Self {
        let entries = [Everything::ENTRY, Errand::ENTRY];
        Self { entries, goods: "tea", fails, world: World::default() }
    }

    /// To hold salt takes no time. The queues begin with `prefix`.
    pub(super) fn with_salt(fails: bool, prefix: String) -> Self {
        let prefix: &'static str = prefix.leak();
        let entries = [Everything::ENTRY, Errand::ENTRY];
        let entries = entries.map(|entry| &*Box::leak(Box::new((*entry).prefix(prefix))));
        Self { entries, goods: "salt", fails, world: World::default() }
    }
}

impl Story for Errands {
    type State = Everything;

    const PARTS: usize = 2;

    fn name(&self) -> String {
        let end = if self.fails { "fails in the end" } else { "succeeds" };
        format!("what waits and {end}")
    }

    fn again(&self) -> Self {
        Self { world: World::default(), ..self.clone() }
    }

    fn equip(&self, process: AppBuilder) -> AppBuilder {
        let [everything, errand] = self.entries;
        let process = process.workflow_entry(everything).workflow_entry(errand);
        process.handler::<hold_goods>().provide(self.world.clone())
    }

    fn state(&self, id: Uuid) -> Everything {
        // An invoice of its own: all that run on one broker hear of each other's.
        let [.., a, b, c, d] = *id.as_bytes();
        Everything {
            invoice: u32::from_be_bytes([a, b, c, d]),
            goods: self.goods.to_owned(),
            way: "near".to_owned(),
            ..Everything::new(true, self.fails)
        }
    }

    fn completes(&self) -> bool {
        !self.fails
    }

    /// What is done again has the same key. The errand has come to its own end, and what is held is held.
    fn check(&self, id: Uuid, _: bool) -> Result<(), String> {
        let seen: BTreeSet<String> = self.world.seen().into_iter().collect();
        let is_kept =
            |key: &&String| !key.ends_with(".undo") && !seen.contains(&format!("{key}.undo"));
        let kept: BTreeSet<String> = seen.iter().filter(is_kept).cloned().collect();
        let stages: &[&str] = if self.fails { &[] } else { &["paid", "hold", "send"] };
        let mut must: BTreeSet<String> =
            stages.iter().map(|stage| format!("{id}.{stage}")).collect();
        must.extend(["go".to_owned(), format!("hold {}", self.goods)]);
        match kept == must {
            true => Ok(()),
            false => Err(format!("{seen:?} leaves {kept:?}, and it must be {must:?}")),
        }
    }

    async fn over(&self, _: Uuid) {
        unreachable!("what waits is kept in a store");
    }
}
