//! What `routes`, `topology` and `config` print.

use std::fmt::Write as _;
use std::time::Duration;

use super::config::Config;
use super::plan::{Plan, QueuePlan};
use crate::contract::Location;
use crate::handler::HandlerEntry;
use crate::transport::{ExchangeKind, Queue, QueueKind, Topology};
use crate::workflow::{Graph, Shape, StageEntry};

/// Handlers by queue, with their options.
pub(super) fn routes(plan: &Plan) -> String {
    let mut rows =
        vec![["QUEUE", "MESSAGE", "HANDLER", "OPTIONS", "AT"].map(str::to_owned).to_vec()];
    for queue in &plan.queues {
        for entry in &queue.handlers {
            rows.push(vec![
                queue.queue.name.clone(),
                format!("{} ({})", entry.message.name, entry.message.kind.as_str()),
                entry.name.to_owned(),
                options(queue, entry),
                entry.location.to_string(),
            ]);
        }
    }
    let mut text = table(&rows);
    let handlers: usize = plan.queues.iter().map(|queue| queue.handlers.len()).sum();
    let _ = writeln!(text, "\n{handlers} handlers on {} queues", plan.queues.len());
    for entry in plan
        .queues
        .iter()
        .flat_map(|queue| &queue.handlers)
        .filter(|entry| !entry.summary().is_empty())
    {
        let _ = writeln!(text, "  {}: {}", entry.name, entry.summary());
    }
    text
}

/// Workflows with their stages, and those of them whose effect nothing undoes.
pub(super) fn workflows(graphs: &[Graph]) -> String {
    let mut text = String::new();
    for graph in graphs {
        let entry = graph.entry;
        let limit = entry.timeout_ms.map(|ms| format!(", timeout {} s", ms as f64 / 1_000.0));
        let _ = writeln!(
            text,
            "\nworkflow {} version {} of `{}`{} at {}",
            entry.id,
            entry.version,
            entry.name,
            limit.unwrap_or_default(),
            entry.location
        );
        for stage in entry.stages {
            let _ = writeln!(text, "  {}{}", stage.name, stage_options(stage));
        }
        text.push_str(&uncovered(graph));
    }
    text
}

fn stage_options(stage: &StageEntry) -> String {
    let millis = |ms: u64| in_words(Duration::from_millis(ms));
    let parts = [
        match stage.shape {
            Shape::Single => None,
            Shape::Branch(group) => Some(format!("parallel `{group}`")),
            Shape::Join(group) => Some(format!("joins `{group}`")),
        },
        stage.when.map(|when| format!("when `{}`", when.name)),
        stage.repeat.map(|repeat| format!("repeated while `{}`", repeat.name)),
        stage.delay_ms.map(|ms| format!("after {}", millis(ms))),
        stage.within_ms.map(|ms| format!("waits up to {}", millis(ms))),
        stage.timeout_ms.map(|ms| format!("timeout {}", millis(ms))),
        stage.retry.map(|retry| format!("{} attempts", retry.attempts)),
        stage.continue_on_failure.then(|| "goes on without it".to_owned()),
        stage.undo.map(|undo| format!("undone by `{}`", undo.name)),
        stage.irreversible.then(|| "irreversible".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

/// Stages whose effect stays when a later one fails, and about which nothing is said.
pub(super) fn uncovered(graph: &Graph) -> String {
    let mut text = String::new();
    for stage in graph.uncovered() {
        let location = Location { line: stage.line, ..graph.entry.location };
        let _ = writeln!(
            text,
            "  note: stage `{}` of workflow `{}` uses services, and a later failure does not undo it; write `compensate = ..` \
             or `irreversible`\n        {location}",
            stage.name, graph.entry.id
        );
    }
    text
}

fn options(queue: &QueuePlan, entry: &HandlerEntry) -> String {
    let mut parts =
        vec![format!("concurrency {}", queue.concurrency), format!("prefetch {}", queue.prefetch)];
    if let Some(timeout_ms) = entry.options.timeout_ms {
        parts.push(format!("timeout {} s", timeout_ms as f64 / 1_000.0));
    }
    // The queues of workflows are tried for ever; how often a stage is, stands with the stage.
    if let Some(retry) = entry.options.retry.filter(|retry| retry.attempts < u32::MAX) {
        parts.push(format!("{} attempts", retry.attempts));
    }
    if entry.options.broadcast {
        parts.push("broadcast".to_owned());
    }
    parts.extend(limits(entry));
    parts.join(", ")
}

fn limits(entry: &HandlerEntry) -> Vec<String> {
    let options = &entry.options;
    let rate = options.rate.map(|rate| {
        format!("rate {} per {:?} (burst {})", rate.calls, rate.per, rate.burst_size())
    });
    let bulkhead = options
        .bulkhead
        .map(|bulkhead| format!("bulkhead `{}` of {}", bulkhead.name, bulkhead.places));
    let breaker = options.breaker.map(|breaker| {
        let name = options.breaker_name.map(|name| format!(" `{name}`")).unwrap_or_default();
        format!(
            "breaker{name} ({} failures, reset {:?}, {} probes)",
            breaker.failures, breaker.reset, breaker.probes
        )
    });
    let cache =
        options.cache.map(|cache| format!("cache {} of {}", in_words(cache.ttl), cache.size));
    let fallback = options.fallback.map(|fallback| format!("fallback `{}`", fallback.name));
    let idempotent = options
        .idempotent
        .map(|kept| format!("idempotent {} of {}", in_words(kept.ttl), kept.size));
    [cache, idempotent, rate, bulkhead, breaker, fallback].into_iter().flatten().collect()
}

/// A time as the attributes take it, like `1h 30m`.
fn in_words(time: Duration) -> String {
    let mut left = time.as_millis();
    let mut parts = Vec::new();
    for (unit, millis) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        if left >= millis {
            parts.push(format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    parts.join(" ")
}

/// Exchanges, queues and bindings as they would be declared.
pub(super) fn topology(topology: &Topology) -> String {
    let mut text = String::from("exchanges\n");
    for exchange in &topology.exchanges {
        let _ = writeln!(text, "  {} ({}, durable)", exchange.name, exchange_kind(exchange.kind));
    }
    text.push_str("queues\n");
    for queue in &topology.queues {
        let _ = writeln!(text, "  {} ({})", queue.name, queue_options(queue));
    }
    text.push_str("bindings\n");
    for binding in &topology.bindings {
        let _ = writeln!(text, "  {} --{}--> {}", binding.exchange, binding.pattern, binding.queue);
    }
    text
}

const fn exchange_kind(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Topic => "topic",
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
    }
}

fn queue_options(queue: &Queue) -> String {
    let mut parts = vec![
        match queue.kind {
            QueueKind::Quorum => "quorum",
            QueueKind::Classic => "classic",
            QueueKind::Exclusive => "exclusive",
        }
        .to_owned(),
    ];
    if let Some(max) = queue.max_priority {
        parts.push(format!("priorities 0 to {max}"));
    }
    if let Some(target) = &queue.dead_letter {
        parts.push(format!("dead letters to {target}"));
    }
    parts.join(", ")
}

/// Each value with where it came from.
pub(super) fn config(config: &Config) -> String {
    let mut rows = vec![["KEY", "VALUE", "FROM"].map(str::to_owned).to_vec()];
    rows.extend(
        config
            .settings()
            .into_iter()
            .map(|setting| vec![setting.key, setting.value, setting.origin]),
    );
    table(&rows)
}

/// Columns as wide as their widest cell, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Kind, MessageInfo};
    use crate::handler::{Bulkhead, CachePolicy, Fallback, Outcome};
    use crate::reliability::{BreakerPolicy, RatePolicy};

    const HERE: Location = Location { module: "listing", file: "listing.rs", line: 1 };
    static ASKED: MessageInfo = MessageInfo::new::<String>(Kind::Query, "AskPrice", HERE);

    #[test]
    fn limits_stand_among_the_options() {
        let fallback = Fallback::new("cached", |_| Ok(Box::pin(async { Outcome::Done })));
        let entry = HandlerEntry::new("price", HERE, &ASKED, |_| (), fallback.start)
            .rate(RatePolicy::new(100, 1_000).burst(10))
            .bulkhead(Bulkhead::new("db", 10))
            .breaker(BreakerPolicy::DEFAULT)
            .breaker_name("payments")
            .fallback(fallback)
            .cache(CachePolicy::new(5_400_000))
            .idempotent(CachePolicy::IDEMPOTENT);
        assert_eq!(
            limits(&entry),
            [
                "cache 1h 30m of 1000",
                "idempotent 1d of 10000",
                "rate 100 per 1s (burst 10)",
                "bulkhead `db` of 10",
                "breaker `payments` (5 failures, reset 30s, 3 probes)",
                "fallback `cached`",
            ]
        );
    }
}
