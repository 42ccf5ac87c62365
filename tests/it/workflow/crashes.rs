//! The process is killed at every checkpoint of every step, once and twice, on a virtual clock: what is left must be
//! what a model says.

use std::collections::BTreeSet;
use std::sync::Arc;

use mmate::contract::Source;
use mmate::store::{MemoryStore, WorkflowStatus};
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::WorkflowEntry;
use uuid::Uuid;

use super::chosen::CHOSEN;
use super::generated::{Act, Plan, entry, model, plan};
use super::place::{Carrying, Keeping, Place};
use super::scene::{Life, Scene};
use super::schedules::{exhaust, run, say};
use super::story::{Planned, Story as _};

/// The lease is short since each second of it is a look at the instance that nobody works on any more.
const CONFIG: &[(&str, &str)] = &[("workflows.lease", "900ms"), ("workflows.lost_after", "1h")];

const ID: Uuid = Uuid::from_u128(0x0001_0203_0405_4607_8809_0a0b_0c0d_0e0f);

pub(super) fn place(forgetful: bool) -> Place {
    let began = tokio::time::Instant::now();
    let source = Source::seeded(7, move || began.elapsed());
    let kept = MemoryTransport::new().source(source.clone());
    Place {
        name: "crashes".to_owned(),
        keeping: Keeping::Shared(Arc::new(MemoryStore::new(source.clone()))),
        carrying: if forgetful { Carrying::Forgetful } else { Carrying::Kept(kept) },
        source,
        config: CONFIG,
    }
}

pub(super) fn scene(entry: &'static WorkflowEntry, plan: &[Plan], forgetful: bool) -> Scene {
    Scene { place: place(forgetful), story: Planned::new(entry, plan), id: ID }
}

/// Kills the process at every checkpoint once, and at every pair of checkpoints of two lives.
async fn exhaust_many(seeds: &[u64], forgetful: bool) {
    let mut tried = 0;
    for seed in seeds {
        let story = Planned::of(*seed, None);
        tried +=
            exhaust(|| Scene { place: place(forgetful), story: story.again(), id: ID }, 2).await;
    }
    let broker = if forgetful { "a forgetful broker" } else { "a broker" };
    say(&format!("{tried} schedules of {} workflows on {broker} in memory", seeds.len()));
}

// In several tests, which run beside each other.

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_anywhere_once_and_twice_leaves_what_the_model_says() {
    exhaust_many(&[0, 1, 2], false).await;
    exhaust_many(&CHOSEN, false).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_with_more_stages_beside_each_other() {
    exhaust_many(&[10, 11, 21], false).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_broker_is_gone_with_it() {
    exhaust_many(&[0, 1, 2], true).await;
    exhaust_many(&CHOSEN, true).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_with_more_stages_whose_broker_is_gone_with_it() {
    exhaust_many(&[10, 11, 15], true).await;
}

/// Without a store a stage may run once more; its effects must be the same.
#[tokio::test(start_paused = true)]
async fn what_is_in_messages_alone_also_survives_a_kill_anywhere() {
    let (mut tried, seeds) = (0, [0, 6, 11, 26, 36, 57]);
    for seed in seeds {
        let story = Planned::of(seed, None);
        let place = || Place { keeping: Keeping::Nowhere, ..place(false) };
        tried += exhaust(|| Scene { place: place(), story: story.again(), id: ID }, 2).await;
    }
    say(&format!(
        "{tried} schedules of {} workflows on a broker in memory without a store",
        seeds.len()
    ));
}

/// A stage whose process ended before its end was written down may have had its effect, whatever the next attempt says.
#[tokio::test(start_paused = true)]
async fn a_stage_that_was_interrupted_and_then_fails_is_undone_too() {
    let mut plan = plan(36, 6);
    plan[1] = Plan { act: Act::Once, undo: true, ..plan[0] };
    plan[0].undo = true;
    let mut undone = 0;
    for kill in 0.. {
        let scene = scene(entry(&plan), &plan, false);
        if scene.live(0, Some(kill)).await != Life::Killed {
            assert!(undone > 0, "no kill made the stage fail");
            return;
        }
        assert!(matches!(scene.live(1, None).await, Life::Ended(_)));
        let instance = scene.place.store().unwrap().get(scene.id).await.unwrap().unwrap();
        let is_completed = instance.status == WorkflowStatus::Completed;
        let effects = if is_completed { 2 } else { 0 };
        assert_eq!(scene.story.world.kept(scene.id).len(), effects, "killed at {kill}");
        undone += u32::from(!is_completed);
    }
}

/// Whatever is wrong with the model or the world would show here without a kill.
#[tokio::test(start_paused = true)]
async fn without_a_kill_every_generated_workflow_ends_as_the_model_says() {
    let mut shapes = BTreeSet::new();
    for seed in 0..100 {
        let plan = plan(seed, 6);
        shapes.insert((plan.len(), model(&plan).completed));
        assert_eq!(run(&scene(entry(&plan), &plan, false), &[]).await.kills, 0);
    }
    assert!(shapes.len() > 12, "{shapes:?}");
}
