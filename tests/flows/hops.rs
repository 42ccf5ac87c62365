//! Stages beside hand-written hops, in interleaved rounds.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;

use crate::by_hand::Hops;
use crate::workflow::{self, Clock, Order};
use crate::{Result, Servers};

/// How many are started at a time.
const STARTS: usize = 64;

/// How long one turn may take.
const TURN_MAX: Duration = Duration::from_secs(300);

/// So much more than the bare order a stage message of the workflow holds.
const PADDING: usize = 900;

/// Runs the contest and prints it.
pub(crate) async fn run(servers: Servers, rounds: u32, instances: u32) -> Result {
    println!(
        "{rounds} rounds of {instances} instances, three hops each, after one round of warm-up"
    );
    for postgres in [false, true] {
        let mut ratios = Vec::new();
        for round in 0..=rounds {
            let hand = by_hand(&servers, postgres, instances).await?;
            let ours = with_workflow(&servers, postgres, instances).await?;
            let ratio = ours.as_secs_f64() / hand.as_secs_f64();
            if round > 0 {
                ratios.push(ratio);
            }
            let per_hop = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(instances) / 3.0;
            println!(
                "{} round {round}: by hand {:.0} us a hop, workflow {:.0} us a stage, ratio {ratio:.2}",
                if postgres { "postgres" } else { "messages alone" },
                per_hop(hand),
                per_hop(ours),
            );
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
        let what = if postgres { "postgres" } else { "messages alone" };
        println!("{what}: a stage takes {median:.2} times a hand-written hop (median)\n");
    }
    Ok(())
}

async fn by_hand(servers: &Servers, postgres: bool, instances: u32) -> Result<Duration> {
    let clock = Clock::default();
    let url = postgres.then_some(servers.postgres.as_str());
    let hops = Hops::start(&servers.amqp, url, &clock, PADDING).await?;
    clock.expect(instances);
    let began = Instant::now();
    let starting =
        stream::iter(0..instances).map(|number| hops.begin(number)).buffer_unordered(STARTS);
    starting.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>>>()?;
    tokio::time::timeout(TURN_MAX, clock.all()).await?;
    let took = began.elapsed();
    hops.stop().await?;
    Ok(took)
}

async fn with_workflow(servers: &Servers, postgres: bool, instances: u32) -> Result<Duration> {
    let clock = Clock::default();
    let store = if postgres { servers.postgres.as_str() } else { "none" };
    let running = workflow::start(&servers.amqp, store, &clock).await?;
    let workflows = running.workflows().ok_or("the app has no workflow")?;
    clock.expect(instances);
    let began = Instant::now();
    let starting = stream::iter(0..instances)
        .map(|number| {
            let id = workflow::id_of(number);
            clock.begin(id);
            let start = workflows.start(Order::new(number)).id(id);
            async move { start.await }
        })
        .buffer_unordered(STARTS);
    for started in starting.collect::<Vec<_>>().await {
        started?;
    }
    tokio::time::timeout(TURN_MAX, clock.all()).await?;
    let took = began.elapsed();
    running.stop().await;
    Ok(took)
}
