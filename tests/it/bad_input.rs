//! What the network may send: each gets a dead letter with a reason, and the consumer goes on.

use std::sync::Arc;

use mmate::contract::HeaderValue;
use mmate::contract::headers::{Headers, names};
use mmate::prelude::*;
use mmate::transport::{Delivery, Properties, Queue, Topology, Transport};
use mmate_tests::{Backend, Probe, on_every_transport, publish_raw, take, unique, wait_for_ready};

/// What a healthy sender sends.
#[message(command)]
struct Measure {
    value: u32,
    #[schemars(length(max = 5))]
    unit: Option<String>,
}

#[handler(concurrency = 1)]
async fn measure(message: Measure, probe: State<Probe>) {
    probe.note(message.value.to_string());
}

#[message(query, reply = Readings)]
struct ReadMeter {
    meter: u32,
}

#[message(reply)]
struct Readings {
    sum: u32,
}

#[handler(cache(ttl = "1m"))]
async fn readings(query: ReadMeter) -> Result<Readings> {
    Ok(Readings { sum: query.meter })
}

#[handler]
async fn readings_made_anew(query: ReadMeter) -> Result<Readings> {
    Ok(Readings { sum: query.meter })
}

struct Bad {
    what: &'static str,
    body: Vec<u8>,
    headers: Headers,
    reason: &'static str,
    says: &'static str,
}

fn envelope(rest: &str) -> String {
    format!(r#"{{"id":"m-1","type":"Measure","timestamp":"2026-01-01T00:00:00Z",{rest}}}"#)
}

fn bad(
    what: &'static str,
    body: impl Into<Vec<u8>>,
    reason: &'static str,
    says: &'static str,
) -> Bad {
    Bad { what, body: body.into(), headers: Headers::new(), reason, says }
}

fn with_header(what: &'static str, name: &str, value: HeaderValue, says: &'static str) -> Bad {
    let mut case = bad(what, envelope(r#""payload":{"value":1}"#), "bad_header", says);
    case.headers = [(name.to_owned(), value)].into_iter().collect();
    case
}

fn envelopes() -> Vec<Bad> {
    let long = "c".repeat(300);
    let nested = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    vec![
        bad("no UTF-8", vec![b'{', 0xff, b'}'], "not_utf8", "UTF-8 at byte 1"),
        bad("empty", "", "not_json", "EOF"),
        bad("no JSON", "not json", "not_json", "line 1 column 2"),
        bad("cut off", &envelope(r#""payload":{"value":1}"#)[..40], "not_json", "EOF"),
        bad("an array", "[]", "not_an_envelope", "expected an envelope object"),
        bad("1,000 nested arrays", nested.as_str(), "too_deep", "128 levels"),
        bad(
            "nested payload",
            envelope(&format!(r#""payload":{{"value":1,"extra":{nested}}}"#)),
            "too_deep",
            "128",
        ),
        bad("no id", r#"{"type":"Measure","payload":{"value":1}}"#, "missing_id", "no `id`"),
        bad(
            "empty id",
            r#"{"id":"","type":"Measure","payload":{"value":1}}"#,
            "missing_id",
            "no `id`",
        ),
        bad(
            "a number as id",
            r#"{"id":7,"type":"Measure"}"#,
            "not_an_envelope",
            "expected a string",
        ),
        bad("no type", r#"{"id":"m-1","payload":{"value":1}}"#, "missing_type", "no `type`"),
        bad(
            "a long id",
            format!(r#"{{"id":"{long}","type":"Measure"}}"#),
            "id_too_long",
            "300 bytes; at most 255",
        ),
        bad(
            "a long correlation id",
            envelope(&format!(r#""correlationId":"{long}""#)),
            "correlation_id_too_long",
            "300",
        ),
        bad(
            "a bad time",
            r#"{"id":"m-1","type":"Measure","timestamp":"soon"}"#,
            "bad_timestamp",
            "RFC 3339",
        ),
        bad(
            "a numeric time",
            r#"{"id":"m-1","type":"Measure","timestamp":17}"#,
            "not_an_envelope",
            "expected a string",
        ),
        bad(
            "headers that are a list",
            envelope(r#""headers":[1]"#),
            "not_an_envelope",
            "object of headers",
        ),
    ]
}

/// With an envelope that can be read all the same.
fn no_json() -> Vec<Bad> {
    vec![
        bad(
            "a payload that is no JSON",
            envelope(r#""payload":{"value":1,}"#),
            "not_json",
            "the envelope at line 1 column",
        ),
        bad("a payload that is cut off", envelope(r#""payload":{"value":1"#), "not_json", "EOF"),
        bad(
            "an unknown type with a payload that is no JSON",
            envelope(r#""payload":{"value":1,}"#).replace("Measure", "Gauge"),
            "not_json",
            "the envelope at line 1 column",
        ),
    ]
}

fn payloads() -> Vec<Bad> {
    let huge = format!(r#""payload":{{"value":1,"extra":"{}"}}"#, "x".repeat(10 * 1024 * 1024));
    vec![
        bad(
            "an unknown type",
            envelope("").replace("Measure", "Gauge").replace(",}", "}"),
            "unknown_type",
            "takes `Measure`",
        ),
        bad(
            "a wrong type",
            envelope(r#""payload":{"value":"secret"}"#),
            "bad_payload",
            "string, expected u32",
        ),
        bad("a missing field", envelope(r#""payload":{}"#), "bad_payload", "missing field `value`"),
        bad("no payload", envelope(r#""payload":null"#), "bad_payload", "missing field `value`"),
        bad("out of range", envelope(r#""payload":{"value":-1}"#), "bad_payload", "expected u32"),
        bad("a payload that is a list", envelope(r#""payload":[]"#), "bad_payload", "`Measure`"),
        bad(
            "a long reply address",
            envelope(&format!(r#""replyTo":"{}","payload":{{"value":1}}"#, "r".repeat(300))),
            "reply_to_too_long",
            "300 bytes",
        ),
        bad(
            "a broken rule",
            envelope(r#""payload":{"value":1,"unit":"secret"}"#),
            "schema_violation",
            "`/unit`",
        ),
        bad("10 MB", envelope(&huge), "too_large", "`limits.message_bytes_max`"),
        with_header(
            "a table as header",
            "region",
            HeaderValue::Table(Headers::new()),
            "`region` is a table",
        ),
        with_header(
            "a list as header",
            "region",
            HeaderValue::List(vec![1_i64.into()]),
            "`region` is a list",
        ),
        with_header(
            "bytes as header",
            "region",
            HeaderValue::Bytes(vec![1]),
            "`region` is a byte array",
        ),
        with_header(
            "a decimal as header",
            "region",
            HeaderValue::Decimal { scale: 1, value: 5 },
            "is a decimal",
        ),
        with_header(
            "a wrong attempt",
            "x-attempt",
            HeaderValue::Bool(true),
            "expected a number from 1",
        ),
    ]
}

fn text<'a>(parked: &'a Delivery, name: &str) -> &'a str {
    parked.properties.headers.text(name).unwrap_or_default()
}

async fn every_bad_message_is_dead_lettered_with_a_reason(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("bad"), Probe::default());
    let builder = broker.service(&name).await.handler::<measure>().provide(probe.clone());
    let running = builder
        .config("limits.message_bytes_max", 1024 * 1024)
        .start()
        .await
        .expect("the service boots");
    let transport = broker.connect().await;
    let (queue, dead) = (format!("cmd.{name}.Measure"), format!("dlq.cmd.{name}.Measure"));
    let cases: Vec<Bad> = [envelopes(), no_json(), payloads()].into_iter().flatten().collect();
    for case in &cases {
        let mut properties = Properties::default();
        properties.headers = case.headers.clone();
        publish_raw(&transport, &queue, properties, case.body.clone()).await;
        let parked = take(&transport, &dead).await;
        let (reason, error) =
            (text(&parked, names::DEATH_REASON), text(&parked, names::DEATH_ERROR));
        assert_eq!(reason, case.reason, "{}: {error}", case.what);
        assert!(error.contains(case.says), "{}: {error}", case.what);
        assert!(!error.contains("secret"), "{} repeats the payload: {error}", case.what);
        assert_eq!(parked.body, case.body, "{}: the body is intact", case.what);
        assert_eq!(
            parked.properties.headers.get(names::DEATH_ATTEMPTS),
            Some(&1.into()),
            "{}",
            case.what
        );
    }
    publish_raw(&transport, &queue, Properties::default(), envelope(r#""payload":{"value":5}"#))
        .await;
    assert_eq!(probe.wait_for(1).await, ["5"]);
    let counts = running.stop().await.counts;
    assert_eq!((counts.handled, counts.dead_lettered), (1, cases.len() as u64));
    wait_for_ready(&transport, &queue, 0).await;
}

async fn caller_queue(transport: &Arc<dyn Transport>, caller: &str) {
    let mut topology = Topology::default();
    topology.queues.push(Queue::new(caller));
    transport.declare(&topology).await.expect("the caller's queue");
}

/// Where the answer may be there already, the payload is the key to it and no handler reads it.
async fn a_query_that_is_no_json_never_asks_a_cache(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("bad"));
    let running = broker.service(&name).await.handler::<readings>().start().await.expect("boots");
    let (transport, caller) = (broker.connect().await, format!("{name}.caller"));
    caller_queue(&transport, &caller).await;
    let query = |payload: &str| {
        let query = envelope(&format!(r#""replyTo":"{caller}","payload":{payload}"#));
        query.replace("Measure", "ReadMeter")
    };
    let to = format!("qry.{name}.ReadMeter");
    for _ in 0..2 {
        publish_raw(&transport, &to, Properties::default(), query(r#"{"meter":7,}"#)).await;
        let parked = take(&transport, &format!("dlq.{to}")).await;
        assert_eq!(text(&parked, names::DEATH_REASON), "not_json");
        // The envelope says who waits.
        let refusal = take(&transport, &caller).await;
        assert!(String::from_utf8_lossy(&refusal.body).contains("INVALID_REQUEST"));
        publish_raw(&transport, &to, Properties::default(), query(r#"{"meter":7}"#)).await;
        let answer = take(&transport, &caller).await;
        assert!(String::from_utf8_lossy(&answer.body).contains(r#""sum":7"#));
    }
    let counts = running.stop().await.counts;
    assert_eq!((counts.handled, counts.dead_lettered), (2, 2));
}

async fn whoever_asks_what_is_no_json_is_told(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("bad"));
    let builder = broker.service(&name).await.handler::<readings_made_anew>();
    let running = builder.start().await.expect("boots");
    let (transport, caller) = (broker.connect().await, format!("{name}.caller"));
    caller_queue(&transport, &caller).await;
    let (to, payload) = (format!("qry.{name}.ReadMeter"), r#"{"meter":7,}"#);
    for asked in ["ReadMeter", "ReadClock"] {
        let query = envelope(&format!(r#""replyTo":"{caller}","payload":{payload}"#));
        let query = query.replace("Measure", asked);
        publish_raw(&transport, &to, Properties::default(), query).await;
        let parked = take(&transport, &format!("dlq.{to}")).await;
        assert_eq!(text(&parked, names::DEATH_REASON), "not_json", "{asked}");
        let refusal = take(&transport, &caller).await;
        assert!(String::from_utf8_lossy(&refusal.body).contains("INVALID_REQUEST"), "{asked}");
    }
    assert_eq!(running.stop().await.counts.dead_lettered, 2);
}

/// A field after the payload counts, whoever writes it there.
async fn a_reply_address_behind_the_payload_is_found(backend: Backend) {
    let (broker, name) = (backend.broker().await, unique("behind"));
    let running = broker.service(&name).await.handler::<readings>().start().await.expect("boots");
    let (transport, caller) = (broker.connect().await, format!("{name}.caller"));
    caller_queue(&transport, &caller).await;
    let query = envelope(&format!(r#""payload":{{"meter":3}},"replyTo":"{caller}""#))
        .replace("Measure", "ReadMeter");
    publish_raw(&transport, &format!("qry.{name}.ReadMeter"), Properties::default(), query).await;
    let answer = take(&transport, &caller).await;
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""sum":3"#));
    running.stop().await;
}

/// The transport's own limit is smaller than what came: the broker moves the message itself.
#[tokio::test]
async fn what_cannot_be_copied_is_moved_by_the_broker() {
    use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
    let (broker, name) = (Backend::RabbitMq.broker().await, unique("bad"));
    let mut config = AmqpConfig::new(mmate_tests::amqp_url());
    config.message_bytes_max = 10_000;
    let small = AmqpTransport::connect(config).await.expect("the broker of the tests");
    let builder = App::builder().name(&name).transport(Arc::new(small) as Arc<dyn Transport>);
    let running =
        builder.handler::<measure>().provide(Probe::default()).start().await.expect("boots");
    let transport = broker.connect().await;
    publish_raw(
        &transport,
        &format!("cmd.{name}.Measure"),
        Properties::default(),
        vec![b'x'; 20_000],
    )
    .await;
    let parked = take(&transport, &format!("dlq.cmd.{name}.Measure")).await;
    assert_eq!(parked.body.len(), 20_000);
    assert_eq!(running.stop().await.counts.dead_lettered, 1);
}

#[tokio::test]
async fn ten_megabytes_are_refused_by_default() {
    let (name, url) = (unique("bad"), mmate_tests::amqp_url());
    let builder = App::builder()
        .name(&name)
        .config("url", url)
        .handler::<measure>()
        .provide(Probe::default());
    let running = builder.start().await.expect("boots");
    let transport = Backend::RabbitMq.broker().await.connect().await;
    let body =
        envelope(&format!(r#""payload":{{"value":1,"extra":"{}"}}"#, "x".repeat(10 * 1024 * 1024)));
    publish_raw(&transport, &format!("cmd.{name}.Measure"), Properties::default(), body).await;
    let parked = take(&transport, &format!("dlq.cmd.{name}.Measure")).await;
    assert_eq!(text(&parked, names::DEATH_REASON), "too_large");
    running.stop().await;
}

async fn what_siblings_write_in_their_own_way_is_read(backend: Backend) {
    let (broker, name, probe) = (backend.broker().await, unique("odd"), Probe::default());
    let running = broker
        .service(&name)
        .await
        .handler::<measure>()
        .provide(probe.clone())
        .start()
        .await
        .expect("boots");
    let transport = broker.connect().await;
    for (index, body) in [
        r#"{"Id":"not-a-uuid","TYPE":"Measure","Timestamp":"2026-01-01T02:00:00+02:00","Payload":{"value":0}}"#,
        r#"{"id":"a","type":"Measure","timestamp":"2026-01-01T00:00:00","correlationId":null,"headers":null,"payload":{"value":1}}"#,
        r#"{"id":"a","type":"Measure","timestamp":"2026-01-01T00:00:00.123456Z","payload":{"value":2.0},"unknown":[1]}"#,
        r#"{"id":"a","type":"Measure","payload":{"value":3,"unit":null,"targetService":"x"}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        publish_raw(&transport, &format!("cmd.{name}.Measure"), Properties::default(), body).await;
        assert_eq!(probe.wait_for(index + 1).await[index], index.to_string());
    }
    // Broker plugins write lists of tables under names of their own.
    let mut properties = Properties::default();
    properties
        .headers
        .set("x-received-from", HeaderValue::List(vec![HeaderValue::Table(Headers::new())]));
    let body = envelope(r#""payload":{"value":4}"#);
    publish_raw(&transport, &format!("cmd.{name}.Measure"), properties, body).await;
    assert_eq!(probe.wait_for(5).await[4], "4");
    running.stop().await;
}

on_every_transport! {
    every_bad_message_is_dead_lettered_with_a_reason
    a_query_that_is_no_json_never_asks_a_cache
    whoever_asks_what_is_no_json_is_told
    a_reply_address_behind_the_payload_is_found
    what_siblings_write_in_their_own_way_is_read
}
