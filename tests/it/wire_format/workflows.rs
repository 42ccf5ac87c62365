//! Stage messages on the wire, byte for byte; and a stage that a sibling runs.

use std::sync::Arc;
use std::time::Duration;

use mmate::App;
use mmate::store::{MemoryStore, WorkflowStatus, WorkflowStore};
use mmate::transport::Delivery;
use mmate::workflow::Checkpoints;
use mmate_tests::{publish_raw, take};
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;

/// Money comes, goods go; the second stage is a sibling's.
#[payload]
struct Sale {
    order_id: String,
    total: Decimal,
    #[serde(default, rename = "pack.weight")]
    weight: Option<f64>,
    steps: Vec<String>,
}

#[workflow(id = "sale", timeout = "10m")]
impl Sale {
    #[stage(compensate = repay)]
    async fn charge(&mut self) {
        self.steps.push("charge".to_owned());
    }

    #[stage]
    async fn pack(&mut self) {
        self.steps.push("pack".to_owned());
    }

    #[stage(retry(attempts = 1))]
    async fn ship(&mut self) -> Result {
        self.steps.push("ship".to_owned());
        if self.order_id == "stuck" { Err(Reject::new("NO_VAN", "no van").into()) } else { Ok(()) }
    }

    async fn repay(&mut self) {}
}

fn sale(order_id: &str) -> Sale {
    let total = Decimal::new(19_99, 2);
    Sale { order_id: order_id.to_owned(), total, weight: None, steps: Vec::new() }
}

const ID: Uuid = Uuid::from_u128(0x1111_2222_3333_4444_8555_6666_7777_8888);

/// Runs a sale until it has claimed `claims` messages, and kills the process there; gives the next message of a queue.
async fn message(order_id: &str, claims: usize, queue: &str) -> Delivery {
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new());
    let source = Source::seeded(1, || Duration::from_millis(1_500));
    let store = MemoryStore::new(source.clone());
    let (left, reached) = (std::sync::atomic::AtomicUsize::new(claims), Arc::new(Notify::new()));
    let ring = Arc::clone(&reached);
    let checkpoints = Checkpoints::new(move |place| {
        let last =
            place == "claimed" && left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1;
        if last {
            ring.notify_one();
        }
        last
    });
    let app = App::builder().name("shop").transport(Arc::clone(&transport)).source(source);
    let app = app.workflow::<Sale>().workflow_store(Arc::new(store) as Arc<dyn WorkflowStore>);
    let running = app.provide(checkpoints).start().await.unwrap();
    running.workflows().unwrap().start(sale(order_id)).id(ID).correlation_id("flow").await.unwrap();
    reached.notified().await;
    drop(running);
    take(&transport, queue).await
}

fn text(delivery: &Delivery) -> String {
    let body = String::from_utf8(delivery.body.to_vec()).unwrap();
    Sent { properties: delivery.properties.clone(), body }.text()
}

#[tokio::test(start_paused = true)]
async fn stage_messages_are_written_as_their_golden_files_say() {
    golden("stage.txt", &text(&message("o-1", 2, "stageflow.sale.stage1").await));
    golden("compensation.txt", &text(&message("stuck", 4, "stageflow.compensation.sale").await));
}

/// What the Go sibling does with a stage message: it knows its own keys and no others, counts the stage, gives its result
/// and hands the rest on.
fn run_by_sibling(delivery: &Delivery) -> (String, Value) {
    let envelope: Value = serde_json::from_slice(&delivery.body).unwrap();
    let payload = &envelope["payload"];
    let mut state: Value =
        serde_json::from_str(payload["serializedWorkflowState"].as_str().unwrap()).unwrap();
    state["version"] = json!(state["version"].as_u64().unwrap() + 1);
    state["currentStage"] = json!("pack");
    let result = json!({ "stageId": "pack", "status": "completed", "startTime": "2026-01-01T00:00:02Z", "duration": 5 });
    state["stageResults"].as_array_mut().unwrap().push(result);
    // Numbers pass through a float there.
    state["globalData"]["pack.weight"] = json!(3.0);
    let next = payload["nextStageQueue"].as_str().unwrap().to_owned();
    let own =
        ["workflowId", "instanceId", "payload", "payloadType", "workflowStateType", "checkpoint"];
    let mut sent: serde_json::Map<String, Value> =
        own.iter().map(|key| ((*key).to_owned(), payload[*key].clone())).collect();
    sent.insert("payloadType".into(), json!("json.RawMessage"));
    sent.insert("stageName".into(), json!("ship"));
    sent.insert("currentStageIndex".into(), json!(2));
    sent.insert("serializedWorkflowState".into(), json!(state.to_string()));
    let message = json!({
        "id": "5d3e6fa0-0f0c-4a6e-9a54-5f7a8f6c3f11",
        "type": "FlowMessageEnvelope",
        "timestamp": "2026-01-01T00:00:02Z",
        "headers": {},
        "payload": sent,
    });
    (next, message)
}

async fn a_stage_of_a_sibling(store: &str) {
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new());
    let mut topology = Topology::default();
    topology.queue(Queue::new("stageflow.sale.stage1"));
    transport.declare(&topology).await.unwrap();
    let kept = MemoryStore::new(Source::system());
    let app = App::builder().name("shop").transport(Arc::clone(&transport)).workflow::<Sale>();
    let app = app.config("workflows.elsewhere", "sale.pack").config("workflows.store", store);
    let app = match store {
        "none" => app,
        _ => app.workflow_store(Arc::new(kept.clone()) as Arc<dyn WorkflowStore>),
    };
    let done = Arc::new(Notify::new());
    let ring = Arc::clone(&done);
    // Without a store the end is seen by the last step being saved.
    let saved = std::sync::atomic::AtomicUsize::new(0);
    let app = app.provide(Checkpoints::new(move |place| {
        if place == "saved" && saved.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            ring.notify_one();
        }
        false
    }));
    let running = app.start().await.unwrap();
    running.workflows().unwrap().start(sale("o-1")).id(ID).await.unwrap();
    let (next, message) = run_by_sibling(&take(&transport, "stageflow.sale.stage1").await);
    assert_eq!(next, "stageflow.sale.stage2");
    // It may come twice.
    for _ in 0..2 {
        publish_raw(&transport, &next, Properties::default(), message.to_string()).await;
    }
    done.notified().await;
    if store != "none" {
        let ended = running.workflows().unwrap().wait::<Sale>(ID.into(), "10s").await.unwrap();
        assert_eq!(ended.status, WorkflowStatus::Completed);
        assert_eq!(ended.state.steps, ["charge", "ship"]);
        assert_eq!(ended.state.weight, Some(3.0));
        let instance = kept.get(ID).await.unwrap().unwrap();
        assert!(instance.book.contains(r#"{"stage":"pack","end":"done"}"#), "{}", instance.book);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sibling_runs_a_stage_of_the_same_workflow() {
    a_stage_of_a_sibling("memory://").await;
    a_stage_of_a_sibling("none").await;
}

#[tokio::test(start_paused = true)]
async fn a_stage_message_that_cannot_be_read_is_dead_lettered_and_says_why() {
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new());
    let app = App::builder().name("shop").transport(Arc::clone(&transport)).workflow::<Sale>();
    let running = app.start().await.unwrap();
    let envelope = |payload: Value| json!({ "id": "m", "type": "FlowMessageEnvelope", "timestamp": "2026-01-01T00:00:00Z", "payload": payload });
    let state = |data: Value| json!({ "version": 1, "globalData": data }).to_string();
    for (payload, why) in [
        (json!({}), "this is no stage message of a workflow"),
        (
            json!({ "workflowId": "sale", "instanceId": ID, "serializedWorkflowState": "{" }),
            "cannot be read",
        ),
        (
            json!({ "workflowId": "sale", "instanceId": ID, "serializedWorkflowState": state(json!({})) }),
            "was not started by a service of this kind",
        ),
        (
            json!({ "workflowId": "sale", "instanceId": ID, "serializedWorkflowState": state(json!({ "mmate": 7 })) }),
            "cannot be read",
        ),
    ] {
        publish_raw(
            &transport,
            "stageflow.sale.stage0",
            Properties::default(),
            envelope(payload).to_string(),
        )
        .await;
        let letter = take(&transport, "dlq.stageflow.sale.stage0").await;
        let error = letter.properties.headers.text(mmate::contract::headers::names::DEATH_ERROR);
        assert!(error.unwrap_or_default().contains(why), "{why}: {error:?}");
    }
    running.stop().await;
}
