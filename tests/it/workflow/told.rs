//! The events of a workflow's life: however often the process is killed, what is durable is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mmate::contract::Kind;
use mmate::contract::address::exchange;
use mmate::store::{HistoryEvent, WorkflowStatus};
use mmate::transport::{ExchangeKind, Queue, Topology, Transport};
use mmate_tests::take;

use super::crashes::scene;
use super::generated::{described, plan};
use super::place::Carrying;
use super::scene::Scene;
use super::schedules::{run, say};

const EARS: &str = "ears";

/// Hears everything that is told.
async fn listen(scene: &Scene) -> Arc<dyn Transport> {
    let (Carrying::Kept(transport) | Carrying::Embedded(transport)) = &scene.place.carrying else {
        panic!("the broker is kept")
    };
    let mut topology = Topology::default();
    topology.exchange(exchange(Kind::Event), ExchangeKind::Topic);
    topology.queue(Queue::new(EARS));
    topology.bind(exchange(Kind::Event), EARS, "#");
    transport.declare(&topology).await.unwrap();
    Arc::new(transport.clone())
}

/// The ids under which each thing was told.
async fn heard(transport: &Arc<dyn Transport>) -> BTreeMap<String, BTreeSet<String>> {
    let mut heard: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let count = transport.queue_stats(EARS).await.unwrap().unwrap().ready;
    for _ in 0..count {
        let delivery = take(transport, EARS).await;
        let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        let name = delivery.properties.message_type.unwrap();
        let stage = find(&body, "stageId").unwrap_or_default();
        let id = delivery.properties.message_id.unwrap();
        heard.entry(format!("{name} {stage}").trim().to_owned()).or_default().insert(id.into());
    }
    heard
}

/// The first text of this name, wherever it stands; not those of lists, which are of other stages.
fn find(value: &serde_json::Value, name: &str) -> Option<String> {
    let fields = value.as_object()?;
    let own = fields.get(name).and_then(|text| text.as_str()).map(str::to_owned);
    own.or_else(|| fields.values().find_map(|value| find(value, name)))
}

/// What must have been told, from the history and the end.
async fn due(scene: &Scene) -> BTreeSet<String> {
    let store = scene.place.store().unwrap();
    let status = store.get(scene.id).await.unwrap().unwrap().status;
    let history = store.history(scene.id).await.unwrap();
    let lines = history.iter().filter_map(|line| match line.event {
        HistoryEvent::Completed | HistoryEvent::Skipped | HistoryEvent::Tolerated => {
            Some(format!("StageCompletedEvent {}", line.stage))
        }
        HistoryEvent::Undone => Some(format!("StageCompensatedEvent {}", line.stage)),
        _ => None,
    });
    let ends: &[&str] = match status {
        WorkflowStatus::Completed => &["WorkflowStartedEvent", "WorkflowCompletedEvent"],
        _ => &["WorkflowStartedEvent", "WorkflowFailedEvent", "WorkflowCompensatedEvent"],
    };
    lines.chain(ends.iter().map(|name| (*name).to_owned())).collect()
}

/// Kills the process at each checkpoint; gives how many there are.
async fn ensure_told(seed: u64, announced: bool) -> usize {
    let plan = plan(seed, 6);
    let entry = Box::leak(Box::new(described(&plan).events(true)));
    for kill in 0.. {
        let mut scene = scene(entry, &plan, false);
        if announced && let Carrying::Kept(transport) = &scene.place.carrying {
            scene.place.carrying = Carrying::Embedded(transport.clone());
        }
        let transport = listen(&scene).await;
        let killed = run(&scene, &[kill]).await.kills;
        let heard = heard(&transport).await;
        let told = || format!("killed at {kill}, {plan:#?}");
        assert_eq!(heard.keys().cloned().collect::<BTreeSet<_>>(), due(&scene).await, "{}", told());
        for (name, ids) in &heard {
            assert_eq!(ids.len(), 1, "`{name}` has several ids, {}", told());
        }
        if killed == 0 {
            return kill;
        }
    }
    unreachable!("a life has an end")
}

#[tokio::test(start_paused = true)]
async fn whatever_is_durable_is_told_at_least_once_and_under_one_id() {
    let mut kills = 0;
    for seed in [0, 11, 26, 32, 49] {
        // An instance may have gone on before the message comes again of which something is not told.
        kills += ensure_told(seed, false).await + ensure_told(seed, true).await;
    }
    say(&format!("{kills} kills of 5 workflows that tell of their life"));
    assert!(kills > 100, "{kills}");
}
