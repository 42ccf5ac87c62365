//! Workflows made at random, and a model that says how each must end.

use std::collections::{BTreeMap, BTreeSet};

use mmate::contract::Location;
use mmate::prelude::*;
use mmate::reliability::{Backoff, RetryPolicy};
use mmate::workflow::{
    Shape, StageCall, StageEntry, StageStarted, Test, Undo, Workflow, WorkflowEntry, changed,
    produced, running, stage_argument, state_of,
};

use super::world::World;

/// After how many milliseconds a stage that hangs is cut off.
const HANG_MS: u64 = 60;
/// How long another may take, on a machine that is busy with other things too.
const STAGE_MS: u64 = 10_000;

/// How many steps a workflow has at most that nobody says anything else of.
pub(super) const STEPS_MAX: u64 = 6;

/// What a stage does when it is called.
#[payload]
#[derive(Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// It has its effect.
    Do,
    /// It says no, and has no effect.
    Refuse,
    /// It fails the first time, without an effect, and has it the second time.
    FailOnce,
    /// It has its effect the first time, and says no from then on: there is nothing left to do.
    Once,
    /// It has its effect and never comes back.
    Hang,
    /// It has its effect and panics.
    Panic,
    /// It has its effect, and says that it does not know.
    Doubt,
    /// It has its effect and says that it does not know; when it is asked again, it says no.
    Waver,
}

/// A stage of a generated workflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) act: Act,
    pub(super) undo: bool,
    pub(super) undo_fails_once: bool,
    pub(super) goes_on: bool,
    pub(super) when: Option<bool>,
    pub(super) shape: Shape,
}

/// The state: what each stage is to do, and which have been done.
#[payload]
pub(super) struct Generated {
    acts: BTreeMap<String, Act>,
    undo_fails_once: BTreeSet<String>,
    pub(super) done: Vec<String>,
}

impl Workflow for Generated {
    // Only its id counts here: the app is given the stages that were made at random.
    const ENTRY: &'static WorkflowEntry = &WorkflowEntry::new("generated", "Generated", HERE, &[]);
}

const HERE: Location = Location { module: module_path!(), file: file!(), line: line!() };
const NAMES: [&str; 12] =
    ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"];

async fn act(state: &mut Generated, info: &StageInfo, world: &World) -> Result {
    let key = info.key.as_str();
    let (_inside, calls) = world.enter(key);
    world.work().await;
    match state.acts.get(info.stage).copied().unwrap_or(Act::Do) {
        Act::Do => {}
        Act::Once if calls == 1 => {}
        Act::Refuse | Act::Once => return Err(Reject::new("NO", "not this time").into()),
        Act::FailOnce if calls == 1 => return Err(HandlerError::msg("not yet")),
        Act::FailOnce => {}
        Act::Waver if world.is_applied(key) => return Err(Reject::new("NO", "not any more").into()),
        Act::Doubt | Act::Waver => {
            world.apply(key);
            return Err(OutcomeUnknown::new("the answer was lost").into());
        }
        Act::Hang => {
            world.apply(key);
            std::future::pending::<()>().await;
        }
        Act::Panic => {
            world.apply(key);
            std::panic::resume_unwind(Box::new("the stage panics"));
        }
    }
    world.apply(key);
    state.done.push(info.stage.to_owned());
    Ok(())
}

async fn undo(state: &mut Generated, info: &StageInfo, world: &World) -> Result {
    let key = info.key.undo();
    let (_inside, calls) = world.enter(key.as_str());
    world.work().await;
    if calls == 1 && state.undo_fails_once.contains(info.stage) {
        return Err(HandlerError::msg("cannot be undone yet"));
    }
    world.undo(info.key.as_str());
    state.done.push(format!("-{}", info.stage));
    Ok(())
}

macro_rules! shim {
    ($name:ident, $call:ident, |$state:ident, $info:ident, $world:ident| $end:expr) => {
        fn $name($call: &StageCall<'_>) -> StageStarted {
            let mut $state = (state_of::<Generated>().take)($call)?;
            let $info = (stage_argument::<StageInfo>().take)($call)?;
            let $world = (stage_argument::<State<World>>().take)($call)?;
            running(async move { $end })
        }
    };
}

shim!(run_stage, call, |state, info, world| {
    let result = act(&mut state, &info, &world).await;
    changed(state_of::<Generated>().give, &state, result)
});
shim!(run_branch, call, |state, info, world| {
    let result = act(&mut state, &info, &world).await;
    produced(result.map(|()| info.stage.to_owned()))
});
shim!(run_undo, call, |state, info, world| {
    let result = undo(&mut state, &info, &world).await;
    changed(state_of::<Generated>().give, &state, result)
});

/// A small generator, so that a seed gives the same workflow for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A workflow of up to `stages_max` steps that follows from a seed.
pub(super) fn plan(seed: u64, steps_max: u64) -> Vec<Plan> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let steps = 1 + dice.roll(steps_max);
    let mut plan = Vec::new();
    for step in 0..steps {
        let last = step + 1 == steps;
        if dice.roll(4) == 0 && plan.len() + 4 < NAMES.len() {
            let group = if step % 2 == 0 { "even" } else { "odd" };
            let group: &'static str = ["g0", "g1", "g2", "g3", "g4", "g5"]
                .get(usize::try_from(step).unwrap_or(0))
                .copied()
                .unwrap_or(group);
            for _ in 0..2 + dice.roll(2) {
                plan.push(stage(&mut dice, Shape::Branch(group), last));
            }
            let join =
                Plan { act: Act::Do, when: None, ..stage(&mut dice, Shape::Join(group), last) };
            plan.push(join);
        } else {
            plan.push(stage(&mut dice, Shape::Single, last));
        }
    }
    plan
}

fn stage(dice: &mut Dice, shape: Shape, last: bool) -> Plan {
    let act = match dice.roll(if last { 8 } else { 14 }) {
        0 => Act::Refuse,
        1 if last => Act::Doubt,
        1 => Act::Waver,
        2 => Act::FailOnce,
        3 => Act::Hang,
        4 => Act::Panic,
        _ => Act::Do,
    };
    let when = match dice.roll(6) {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    Plan {
        act,
        undo: dice.roll(4) > 0,
        undo_fails_once: dice.roll(8) == 0,
        goes_on: dice.roll(6) == 0,
        when,
        shape,
    }
}

/// The entry for a plan. It stays for ever, as those of macros do.
pub(super) fn entry(plan: &[Plan]) -> &'static WorkflowEntry {
    Box::leak(Box::new(described(plan)))
}

/// The same, with queues that begin with `prefix`.
pub(super) fn entry_with(plan: &[Plan], prefix: String) -> &'static WorkflowEntry {
    Box::leak(Box::new(described(plan).prefix(prefix.leak())))
}

pub(super) fn described(plan: &[Plan]) -> WorkflowEntry {
    let stages: Vec<StageEntry> =
        plan.iter().zip(NAMES).map(|(plan, name)| made(plan, name)).collect();
    WorkflowEntry::new("generated", "Generated", HERE, stages.leak())
}

fn made(plan: &Plan, name: &'static str) -> StageEntry {
    let run = if matches!(plan.shape, Shape::Branch(_)) { run_branch } else { run_stage };
    // An attempt whose process is killed counts, and up to two are.
    let attempts = if matches!(plan.act, Act::FailOnce | Act::Waver) { 4 } else { 1 };
    let timeout = if plan.act == Act::Hang { HANG_MS } else { STAGE_MS };
    let mut entry = StageEntry::new(name, 1, needs_world, run)
        .shape(plan.shape)
        .timeout_ms(timeout)
        .retry(RetryPolicy::new(attempts, Backoff::fixed_ms(1)))
        .continue_on_failure(plan.goes_on)
        .irreversible(!plan.undo)
        .can_fail(true);
    if plan.undo {
        entry = entry.undo(Undo::new("undo", needs_world, run_undo));
    }
    match plan.when {
        Some(true) => entry.when(Test::new("always", |_| Ok(true))),
        Some(false) => entry.when(Test::new("never", |_| Ok(false))),
        None => entry,
    }
}

fn needs_world(needs: &mut mmate::handler::Requirements) {
    needs.need::<World>();
}

/// The state with which a plan is started.
pub(super) fn state(plan: &[Plan]) -> Generated {
    let named = || plan.iter().zip(NAMES);
    Generated {
        acts: named().map(|(plan, name)| (name.to_owned(), plan.act)).collect(),
        undo_fails_once: named()
            .filter(|(plan, _)| plan.undo_fails_once)
            .map(|(_, name)| name.to_owned())
            .collect(),
        done: Vec::new(),
    }
}

/// How an instance of a plan must end.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) completed: bool,
    /// Whose effects there were, and which of them are undone.
    pub(super) applied: BTreeSet<String>,
    pub(super) undone: BTreeSet<String>,
}

impl Model {
    /// Whose effects are there.
    pub(super) fn kept(&self) -> BTreeSet<String> {
        self.applied.difference(&self.undone).cloned().collect()
    }
}

/// How an instance of a plan must end, without any of the engine.
pub(super) fn model(plan: &[Plan]) -> Model {
    let mut effects: Vec<(usize, bool)> = Vec::new();
    let mut completed = true;
    let mut index = 0;
    while index < plan.len() && completed {
        let group = match plan[index].shape {
            Shape::Branch(group) => {
                plan[index..].iter().take_while(|stage| stage.shape == Shape::Branch(group)).count()
            }
            Shape::Single | Shape::Join(_) => 1,
        };
        for (offset, stage) in plan[index..index + group].iter().enumerate() {
            if stage.when == Some(false) {
                continue;
            }
            let failed = !matches!(stage.act, Act::Do | Act::FailOnce | Act::Once);
            if stage.act != Act::Refuse {
                // What went wrong and is tolerated is never undone.
                effects.push((index + offset, stage.undo && !(failed && stage.goes_on)));
            }
            completed &= !failed || stage.goes_on;
        }
        index += group;
    }
    let named = |(index, _): &(usize, bool)| NAMES[*index].to_owned();
    let undone = effects.iter().filter(|(_, undone)| !completed && *undone);
    Model {
        completed,
        undone: undone.map(named).collect(),
        applied: effects.iter().map(named).collect(),
    }
}
