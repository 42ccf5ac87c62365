//! The process is killed at every checkpoint of every step, once and twice, on a virtual clock: what is left must be
//! what a model says.

use std::collections::BTreeSet;
use std::sync::Arc;

use mmate::contract::Source;
use mmate::store::MemoryStore;
use mmate::transport::memory::MemoryTransport;
use mmate::workflow::WorkflowEntry;
use uuid::Uuid;

use super::generated::{Plan, entry, model, plan};
use super::scene::{Carrying, Keeping, Life, Place, Scene};
use super::world::World;

/// The lease is short since each second of it is a look at the instance that nobody works on any more.
const CONFIG: &[(&str, &str)] = &[("workflows.lease", "900ms"), ("workflows.lost_after", "1h")];

pub(super) fn scene(entry: &'static WorkflowEntry, plan: &[Plan], forgetful: bool) -> Scene {
    let began = tokio::time::Instant::now();
    let source = Source::seeded(7, move || began.elapsed());
    let kept = MemoryTransport::new().source(source.clone());
    let place = Place {
        name: "crashes".to_owned(),
        keeping: Keeping::Shared(Arc::new(MemoryStore::new(source.clone()))),
        carrying: if forgetful { Carrying::Forgetful } else { Carrying::Kept(kept) },
        source,
        config: CONFIG,
    };
    let id = Uuid::from_u128(0x0001_0203_0405_4607_8809_0a0b_0c0d_0e0f);
    Scene { place, entry, plan: plan.to_vec(), world: World::default(), id }
}

/// Runs an instance to its end through as many lives as there are kills, and one more. Gives how many of the kills took
/// place.
pub(super) async fn run(scene: &Scene, kills: &[usize]) -> usize {
    for (life, kill) in kills.iter().copied().map(Some).chain([None]).enumerate() {
        if scene.live(life, kill).await != Life::Killed {
            scene.judge(kills).await;
            return life;
        }
    }
    unreachable!("the last life has no kill")
}

/// Kills the process at every checkpoint once, and at every pair of checkpoints of two lives. Gives how many schedules
/// were tried.
async fn exhaust(plan: &[Plan], forgetful: bool) -> usize {
    let entry = entry(plan);
    let mut tried = 0;
    for first in 0.. {
        tried += 1;
        if run(&scene(entry, plan, forgetful), &[first]).await == 0 {
            break;
        }
        for second in 0.. {
            tried += 1;
            if run(&scene(entry, plan, forgetful), &[first, second]).await < 2 {
                break;
            }
        }
    }
    tried
}

async fn exhaust_many(seeds: &[u64], forgetful: bool) {
    let mut tried = 0;
    for seed in seeds {
        tried += exhaust(&plan(*seed, 6), forgetful).await;
    }
    let broker = if forgetful { "a forgetful broker" } else { "a broker" };
    println!("{tried} schedules of {} workflows on {broker} in memory", seeds.len());
    assert!(tried > 1_000, "{tried}");
}

// In several tests, which run beside each other.

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_anywhere_once_and_twice_leaves_what_the_model_says() {
    exhaust_many(&[0, 1, 2], false).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_with_more_stages_beside_each_other() {
    exhaust_many(&[10, 11, 21], false).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_broker_is_gone_with_it() {
    exhaust_many(&[0, 1, 2], true).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_with_more_stages_whose_broker_is_gone_with_it() {
    exhaust_many(&[10, 11, 15], true).await;
}

/// Whatever is wrong with the model or the world would show here without a kill.
#[tokio::test(start_paused = true)]
async fn without_a_kill_every_generated_workflow_ends_as_the_model_says() {
    let mut shapes = BTreeSet::new();
    for seed in 0..100 {
        let plan = plan(seed, 6);
        shapes.insert((plan.len(), model(&plan).completed));
        assert_eq!(run(&scene(entry(&plan), &plan, false), &[]).await, 0);
    }
    assert!(shapes.len() > 12, "{shapes:?}");
}
