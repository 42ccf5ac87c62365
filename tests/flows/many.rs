//! Very many instances at once, and what they cost.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use mmate::store::{InstanceFilter, WorkflowStatus};
use sqlx::postgres::PgPoolOptions;

use crate::workflow::{self, Clock, Order};
use crate::{Result, Servers};

/// How many are started at a time.
const STARTS: usize = 64;

/// How long all may take.
const ALL_MAX: Duration = Duration::from_secs(3_600);

/// How often it is said how far they are.
const EVERY: Duration = Duration::from_secs(10);

/// Starts them, waits for all, prints what was seen.
pub(crate) async fn run(servers: Servers, instances: u32) -> Result {
    let clock = Clock::default();
    let running = workflow::start(&servers.amqp, &servers.postgres, &clock).await?;
    let workflows = running.workflows().ok_or("the app has no workflow")?;
    clock.expect(instances);
    let began = Instant::now();
    let watch = tokio::spawn(watch(clock.clone(), began));
    let starting = stream::iter(0..instances)
        .map(|number| {
            let id = workflow::id_of(number);
            clock.begin(id);
            let start = workflows.start(Order::new(number)).id(id);
            async move { start.await }
        })
        .buffer_unordered(STARTS);
    let mut starting = std::pin::pin!(starting);
    while let Some(started) = starting.next().await {
        started?;
    }
    println!("all started after {:.1} s", began.elapsed().as_secs_f64());
    let took = tokio::time::timeout(ALL_MAX, clock.all()).await?;
    let all = began.elapsed();
    watch.abort();
    report(&took, all, instances);
    check(&servers, &workflows, instances).await?;
    running.stop().await;
    Ok(())
}

/// Says how far they are, and how much memory the process has.
async fn watch(clock: Clock, began: Instant) {
    loop {
        tokio::time::sleep(EVERY).await;
        println!(
            "{:>5.0} s: {:>7} ended, {:>4} MB in use",
            began.elapsed().as_secs_f64(),
            clock.ended(),
            resident("VmRSS:") / 1_024
        );
    }
}

/// A figure of this process, in kilobytes.
fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

fn report(took: &[Duration], all: Duration, instances: u32) {
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        took.get(place.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let rate = f64::from(instances) / all.as_secs_f64();
    println!(
        "{instances} instances in {:.1} s: {rate:.0} instances/s, {:.0} stages/s; per instance p50 {:.2?}, p99 {:.2?}; peak {} MB",
        all.as_secs_f64(),
        rate * 3.0,
        at(0.5),
        at(0.99),
        resident("VmHWM:") / 1_024
    );
}

/// None is left, and what each takes in the database.
async fn check(
    servers: &Servers,
    workflows: &mmate::workflow::Workflows,
    instances: u32,
) -> Result {
    let mut live = InstanceFilter::default();
    live.statuses = WorkflowStatus::ALL.iter().copied().filter(|status| !status.is_end()).collect();
    // The last ones are saved after their last stage has said that it is done.
    let began = Instant::now();
    while !workflows.list(&live).await?.is_empty() && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = workflows.list(&live).await?.len();
    let pool = PgPoolOptions::new().max_connections(1).connect(&servers.postgres).await?;
    let size = "select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c \
                where c.relname like 'mmate_workflow%' and c.relkind = 'r'";
    let bytes: i64 = sqlx::query_scalar(size).fetch_one(&pool).await?;
    let book: Option<f64> =
        sqlx::query_scalar("select avg(length(book))::float8 from mmate_workflows")
            .fetch_one(&pool)
            .await?;
    println!(
        "{left} not at their end; {} bytes per instance in the database, history and indexes included; book {:.0} bytes",
        bytes / i64::from(instances.max(1)),
        book.unwrap_or_default()
    );
    if left > 0 { Err(format!("{left} instances did not end").into()) } else { Ok(()) }
}
