//! Requests and their answers on the wire, byte for byte; and what siblings answer, as it is read.

use std::sync::Arc;
use std::time::Duration;

use mmate::App;
use mmate::contract::ProcessingOutcome;
use mmate::contract::headers::names;
use mmate::runtime::{AppBuilder, Running};
use mmate::transport::Delivery;
use mmate_tests::{publish_raw, take};
use tokio::task::JoinHandle;

use super::*;

/// Asks what a product costs.
#[message(query, reply = Quoted)]
struct AskQuote {
    product: String,
}

#[message(reply)]
#[derive(PartialEq)]
struct Quoted {
    cents: u32,
    note: Option<String>,
}

/// Nothing answers it but a word on how it ended.
#[message(command)]
struct PourTea {
    how: String,
}

#[handler]
async fn quote(query: AskQuote) -> Result<Quoted> {
    if query.product == "rare" {
        let sold_out = Reject::new("SOLD_OUT", "there is no `rare`");
        return Err(sold_out.details(json!({ "left": 0, "next": "2026-02-01" })).into());
    }
    Ok(Quoted { cents: 250, note: None })
}

/// Takes a second and a half, on the virtual clock.
#[handler]
async fn pour(command: PourTea) -> Result {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    match command.how.as_str() {
        "never" => Err(Reject::new("CLOSED", "the kitchen is closed").into()),
        "broken" => Err(DeadLetter("a secret of the inside".to_owned()).into()),
        _ => Ok(()),
    }
}

async fn broker() -> Arc<dyn Transport> {
    Arc::new(listening().await)
}

/// A service whose ids and times are the same every time.
fn shop(broker: &Arc<dyn Transport>) -> AppBuilder {
    let source = Source::seeded(1, || Duration::from_millis(1_500));
    App::builder().name("shop").transport(Arc::clone(broker)).source(source)
}

/// A service that only asks.
async fn asker(broker: &Arc<dyn Transport>) -> Running {
    shop(broker).publish_only().start().await.expect("boots")
}

fn text(delivery: &Delivery) -> String {
    let body = String::from_utf8(delivery.body.to_vec()).expect("UTF-8");
    Sent { properties: delivery.properties.clone(), body }.text()
}

fn about(product: &str) -> AskQuote {
    AskQuote { product: product.to_owned() }
}

/// The reply address stands where each peer looks for it. Of the two ids of one flow the property is the
/// request's own, which peers send back. The deadline is no business of the envelope's.
#[tokio::test(start_paused = true)]
async fn a_request_leaves_as_its_golden_file_says() {
    let broker = broker().await;
    let running = asker(&broker).await;
    let ask = running.bridge().ask(about("tea")).header("tenant", "acme").correlation_id("flow");
    let sent = tokio::select! {
        sent = take(&broker, "all") => sent,
        answer = ask.into_future() => panic!("nobody answers: {answer:?}"),
    };
    golden("request.txt", &text(&sent));
    let properties = &sent.properties;
    let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
    let to = Value::from(properties.reply_to.clone());
    assert!(to.as_str().is_some_and(|to| to.starts_with("rpl.")), "{to}");
    assert_eq!((&body["replyTo"], &body["payload"]["replyTo"]), (&to, &to));
    assert_eq!(properties.correlation_id, properties.message_id);
    assert_eq!(
        (&body["id"], &body["correlationId"]),
        (&properties.message_id.clone().into(), &"flow".into())
    );
    // The seeded clock's 1.5 s after the new year, and 30 s.
    assert_eq!(properties.headers.get(names::DEADLINE), Some(&1_767_225_631_500_i64.into()));
    assert_eq!(body["headers"], json!({ "tenant": "acme" }));
}

/// Their wish stands in a header beside the body, as the deadline does; an acknowledged command has none.
#[tokio::test(start_paused = true)]
async fn questions_to_many_and_acknowledged_commands_say_so_in_headers() {
    let broker = broker().await;
    let running = asker(&broker).await;
    let gather = running.bridge().gather(about("tea")).within("5s");
    let sent = tokio::select! {
        sent = take(&broker, "all") => sent,
        gathered = gather.into_future() => panic!("nobody answers: {gathered:?}"),
    };
    golden("request_to_many.txt", &text(&sent));
    let pour = running.publisher().send(PourTea { how: "well".to_owned() }).acknowledged("5s");
    let sent = tokio::select! {
        sent = take(&broker, "all") => sent,
        word = pour.into_future() => panic!("nobody says how it ended: {word:?}"),
    };
    golden("request_for_acknowledgement.txt", &text(&sent));
}

/// A request of a peer that uses the property for an id of its own.
fn asked(name: &str, payload: &Value, header: Option<&str>) -> (Properties, String) {
    let mut properties = Properties::default();
    properties.correlation_id = Some("7".into());
    if let Some(header) = header {
        properties.headers.set(header, true);
    }
    let body = json!({
        "id": "q-1", "type": name, "timestamp": "2026-01-01T00:00:00Z", "correlationId": "flow",
        "replyTo": "answers", "payload": payload,
    });
    (properties, body.to_string())
}

/// What a service of ours answers.
async fn answer(queue: &str, (properties, body): (Properties, String)) -> Delivery {
    let broker = broker().await;
    let running = shop(&broker).handler::<quote>().handler::<pour>().start().await;
    let running = running.expect("boots");
    publish_raw(&broker, queue, properties, body).await;
    let answer = take(&broker, "answers").await;
    running.stop().await;
    answer
}

#[tokio::test(start_paused = true)]
async fn answers_leave_as_their_golden_files_say() {
    let quote = |product: &str, header| asked("AskQuote", &json!({ "product": product }), header);
    let queue = "qry.shop.AskQuote";
    golden("answer.txt", &text(&answer(queue, quote("tea", None)).await));
    golden("answer_refused.txt", &text(&answer(queue, quote("rare", None)).await));
    let gathered = answer(queue, quote("tea", Some(names::GATHER))).await;
    golden("answer_gathered.txt", &text(&gathered));
    assert_eq!(gathered.properties.headers.text(names::RESPONDER), Some(queue));
    let unreadable = asked("AskQuote", &json!({ "product": 7 }), None);
    golden("answer_invalid.txt", &text(&answer(queue, unreadable).await));
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_leave_as_their_golden_files_say() {
    for (how, word) in [("well", "processed"), ("never", "rejected"), ("broken", "failed")] {
        let command = asked("PourTea", &json!({ "how": how }), Some(names::ACKNOWLEDGE));
        let written = text(&answer("cmd.shop.PourTea", command).await);
        // The process says who it is.
        let own = format!("\"shop-{}\"", std::process::id());
        assert!(written.contains(&own) && !written.contains("secret"), "{written}");
        golden(&format!("acknowledgement_{word}.txt"), &written.replace(&own, "\"shop-PID\""));
    }
}

/// As the Go sibling answers: no properties but the media type, only the flow's correlation id, nulls
/// written, the headers mirrored, `type` as the developer put it.
fn from_go(name: &str, correlation_id: &Value, payload: &Value) -> (Properties, String) {
    let mut properties = Properties::default();
    properties.content_type = Some("application/json".into());
    let headers = json!({
        "correlation-id": correlation_id, "delivery-mode": 2, "message-type": name, "priority": 0,
        "x-message-kind": "reply",
    });
    let body = json!({
        "id": "5e6b0a3e-8c55-4c35-a1a5-5bd4bb1c9e10", "type": name, "timestamp": "2026-03-01T10:00:00Z",
        "correlationId": correlation_id, "headers": headers, "payload": payload,
    });
    (properties, body.to_string())
}

/// Asks, and answers as a sibling would that has read the request's body and nothing else.
async fn answered(name: &str, payload: Value) -> Result<Quoted, AskError> {
    let broker = broker().await;
    let running = asker(&broker).await;
    let bridge = running.bridge().clone();
    let asking: JoinHandle<_> =
        tokio::spawn(async move { bridge.ask(about("tea")).correlation_id("flow").await });
    let request: Value = serde_json::from_slice(&take(&broker, "all").await.body).expect("JSON");
    let to = request["payload"]["replyTo"].as_str().expect("a reply address");
    let (properties, body) = from_go(name, &request["correlationId"], &payload);
    publish_raw(&broker, to, properties, body).await;
    let answer = asking.await.expect("no panic");
    running.stop().await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_the_go_sibling_is_read() {
    let payload = json!({ "NoTag": null, "cents": 250, "note": null, "success": true });
    let quoted = answered("Quoted", payload).await.expect("an answer");
    assert_eq!(quoted, Quoted { cents: 250, note: None });
    // Its framework's name for a reply that was given none.
    let unnamed = answered("Reply", json!({ "cents": 250, "success": true })).await.unwrap_err();
    assert_eq!(unnamed.kind(), AskErrorKind::BadReply, "{unnamed}");
    assert!(unnamed.to_string().contains("the reply is a `Reply`, not a `Quoted`"), "{unnamed}");
}

#[tokio::test(start_paused = true)]
async fn error_replies_of_the_go_sibling_are_refusals() {
    let of_adapter = json!({
        "error": "no such product", "errorCode": "QUERY_HANDLER_ERROR", "errorMessage": "no such product",
        "stackTrace": "goroutine 1 [running]:", "success": false,
    });
    let of_server = json!({ "errorCode": "REQUEST_FAILED", "errorMessage": "no such product", "success": false });
    let of_document = json!({
        "success": false, "errorCode": "NOT_FOUND", "errorMessage": "no such product", "error": null,
        "errorDetails": { "product": "tea" },
    });
    for (name, payload, code) in [
        ("AskQuoteError", of_adapter, "QUERY_HANDLER_ERROR"),
        ("ErrorReply", of_server, "REQUEST_FAILED"),
        ("ErrorReply", of_document, "NOT_FOUND"),
        // Also where the reply's own type says no.
        (
            "Quoted",
            json!({ "cents": 0, "errorCode": "E", "error": "no such product", "success": false }),
            "E",
        ),
    ] {
        let error = answered(name, payload.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (AskErrorKind::Refused, code), "{error}");
        let refusal = error.refusal().expect("a refusal");
        assert_eq!(refusal.message, "no such product");
        let details = payload.get("errorDetails").cloned();
        assert_eq!(refusal.details, details);
    }
}

/// The sibling tells only success from failure.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_the_go_sibling_is_read() {
    let broker = broker().await;
    let running = asker(&broker).await;
    for success in [true, false] {
        let publisher = running.publisher().clone();
        let sending: JoinHandle<_> = tokio::spawn(async move {
            publisher.send(PourTea { how: "well".to_owned() }).acknowledged("5s").await
        });
        let command = take(&broker, "all").await;
        let command: Value = serde_json::from_slice(&command.body).expect("JSON");
        let payload = json!({
            "errorMessage": if success { Value::Null } else { "no tea".into() }, "messageId": command["id"],
            "messageType": "PourTea", "metadata": { "processorVersion": "mmate-go/1.0" },
            "processedAt": "2026-01-01T10:00:00.5+01:00", "processingTime": 1_500, "processorId": "host-1",
            "success": success,
        });
        let to = command["payload"]["replyTo"].as_str().expect("a reply address");
        let correlation_id = &command["correlationId"];
        let (properties, body) = from_go("ProcessingAcknowledgment", correlation_id, &payload);
        publish_raw(&broker, to, properties, body).await;
        let word = sending.await.expect("no panic").expect("a word");
        assert_eq!(word.outcome == ProcessingOutcome::Processed, success, "{word:?}");
        assert_eq!(word.processing_time, Some(Duration::from_nanos(1_500)));
        let why = word.refusal().map(|refusal| refusal.message.as_str());
        assert_eq!(why, (!success).then_some("no tea"));
    }
    running.stop().await;
}
