//! Golden envelopes: what is written, byte for byte, and what is read of what the siblings write.

mod requests;
mod workflows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mmate::contract::envelope::{self, KindFields, Meta};
use mmate::contract::{Kind, Message, Source};
use mmate::prelude::*;
use mmate::publish::{Encoder, Publisher, WireOptions};
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{ExchangeKind, Properties, Queue, Topology, Transport};
use serde_json::{Value, json};

/// A command with every shape of value.
#[message(command, service = "billing", reply = Charged, priority = 7, ttl = "10m")]
struct ChargeCard {
    order_id: String,
    amount: Decimal,
    at: Timestamp,
    big: u64,
    negative: i64,
    ratio: f64,
    note: Option<String>,
    lines: Vec<Line>,
}

/// Keys that look like the envelope's stay where they are.
#[payload]
struct Line {
    id: String,
    #[serde(rename = "type")]
    kind: LineKind,
    discount: Option<Decimal>,
}

#[payload]
enum LineKind {
    Goods,
    GiftCard,
}

#[message(reply)]
struct Charged {
    receipt: String,
}

#[message(event, aggregate = "order", key = order_id, version = 2)]
struct OrderShipped {
    order_id: String,
    carrier: Option<String>,
}

#[message(event, name = "sensor.read", alias = "SensorRead")]
struct Reading {
    value: f64,
}

#[message(query, reply = Charged)]
struct FindReceipt {
    order_id: String,
    /// The user's own field of a name that the family uses, too: it wins.
    reply_to: String,
}

fn charge() -> ChargeCard {
    ChargeCard {
        order_id: "o-1 \"quoted\" <&> ☃ \u{2028} 💶".to_owned(),
        amount: "19.99".parse().expect("a decimal"),
        at: "2026-01-01T01:30:00+02:00".parse().expect("a timestamp"),
        big: u64::MAX,
        negative: -9_007_199_254_740_993,
        ratio: 1e-9,
        note: None,
        lines: vec![
            Line { id: "l-1".to_owned(), kind: LineKind::Goods, discount: None },
            Line { id: "l-2".to_owned(), kind: LineKind::GiftCard, discount: Some(Decimal::ONE) },
        ],
    }
}

fn golden(name: &str, written: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, written).expect("the golden file can be written");
    }
    let expected =
        std::fs::read_to_string(&path).expect("a golden file; make it with UPDATE_EXPECT=1");
    assert_eq!(written, expected, "{name} is written differently");
}

struct Sent {
    properties: Properties,
    body: String,
}

impl Sent {
    /// Properties line by line, then the body as it travels.
    fn text(&self) -> String {
        format!("{:#?}\n{}\n", self.properties, self.body)
    }
}

/// A broker with the queue `all` behind all exchanges, and `answers`.
async fn listening() -> MemoryTransport {
    let transport = MemoryTransport::new();
    let mut topology = Topology::default();
    topology.queue(Queue::new("all"));
    topology.queue(Queue::new("answers"));
    for exchange in mmate::contract::address::exchanges::TOPICS {
        topology.exchange(exchange, ExchangeKind::Topic);
        topology.bind(exchange, "all", "#");
    }
    transport.declare(&topology).await.expect("declared");
    transport
}

/// Publishes to a queue behind all exchanges and looks at what arrived.
async fn sent<'a, F>(wire: WireOptions, publish: impl FnOnce(&'a Publisher) -> F) -> Sent
where
    F: IntoFuture<Output = Result<mmate::publish::Published, mmate::transport::PublishError>>,
{
    let transport = listening().await;
    let source = Source::seeded(1, || Duration::from_millis(1_500));
    let encoder = Encoder {
        service: "shop".into(),
        source,
        wire,
        flow_headers: Vec::new().into(),
        body_bytes_max: 1 << 20,
    };
    let shared: Arc<dyn Transport> = Arc::new(transport.clone());
    let publisher: &'static Publisher = Box::leak(Box::new(Publisher::new(encoder, shared)));
    publish(publisher).await.expect("published");
    let (properties, body) = transport.messages("all").pop().expect("one message");
    Sent { properties, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
}

#[tokio::test]
async fn each_kind_is_written_as_its_golden_file_says() {
    let plain = WireOptions::default();
    let command = sent(plain, |publisher| {
        publisher.send(charge()).header("tenant", "acme").reply_to("rpl.1")
    })
    .await;
    golden("command.txt", &command.text());
    let shipped = || OrderShipped { order_id: "o.1".to_owned(), carrier: None };
    let event = sent(plain, |publisher| publisher.publish(shipped()).correlation_id("flow")).await;
    golden("event.txt", &event.text());
    let mut mirrored = plain;
    mirrored.mirror_headers = true;
    golden(
        "event_mirrored.txt",
        &sent(mirrored, |publisher| publisher.publish(shipped())).await.text(),
    );
    golden(
        "event_renamed.txt",
        &sent(plain, |publisher| publisher.publish(Reading { value: 1.0 })).await.text(),
    );
}

fn meta(name: &str) -> Meta {
    let mut meta = Meta::new(
        "m-1".to_owned(),
        name.to_owned(),
        "2026-01-01T00:00:00Z".parse().expect("a time"),
    );
    meta.correlation_id = None;
    meta
}

fn written<M: Message>(message: &M, fields: &KindFields<'_>) -> String {
    let body = envelope::encode(&meta(M::INFO.name), message, fields).expect("JSON");
    String::from_utf8(body).expect("UTF-8")
}

#[test]
fn kind_fields_travel_in_the_payload_and_the_users_own_win() {
    let mut fields = envelope::kind_fields::<FindReceipt>("billing", None);
    fields.reply_to = Some("rpl.1");
    let query = FindReceipt { order_id: "replyTo\":".to_owned(), reply_to: "mine".to_owned() };
    golden("query.json", &written(&query, &fields));
    let reply = Charged { receipt: "r-1".to_owned() };
    golden("reply.json", &written(&reply, &envelope::kind_fields::<Charged>("", None)));
    let mut refusal = KindFields::default();
    refusal.success = Some(false);
    refusal.error_code = Some("DECLINED");
    refusal.error_message = Some("the card was declined");
    let body = envelope::encode(&meta("ErrorReply"), &json!({}), &refusal).expect("JSON");
    golden("error_reply.json", &String::from_utf8(body).expect("UTF-8"));
}

#[test]
fn what_is_written_is_read_back_equal() {
    let body = written(&charge(), &envelope::kind_fields::<ChargeCard>("billing", None));
    let read = envelope::decode::<ChargeCard>(body.as_bytes()).expect("it reads itself");
    let again = written(&read.message, &envelope::kind_fields::<ChargeCard>("billing", None));
    assert_eq!(again, body);
    assert_eq!((read.message.big, read.message.negative), (u64::MAX, -9_007_199_254_740_993));
}

/// As the Go sibling puts it on the wire: nulls written, kind fields in the payload, headers mirrored.
const FROM_GO: &str = r#"{"id":"5e6b0a3e-8c55-4c35-a1a5-5bd4bb1c9e10","type":"OrderShipped","timestamp":"2026-03-01T10:00:00Z",
"correlationId":"req-123","headers":{"correlation-id":"req-123","delivery-mode":2,"message-type":"OrderShipped","priority":0,
"x-sequence":"4","x-message-kind":"event"},"payload":{"aggregateId":"o-9","carrier":null,"orderId":"o-9","sequence":4,
"source":"shipping"}}"#;

/// As the .NET sibling's documents show it.
const FROM_DOTNET: &str = r#"{"Id":"5e6b0a3e-8c55-4c35-a1a5-5bd4bb1c9e10","Type":"SensorRead","Timestamp":"2026-03-01T10:00:00.1234567+01:00",
"ReplyTo":"rpl.7","Payload":{"value":3}}"#;

#[test]
fn what_the_siblings_write_is_read() {
    let go = envelope::decode::<OrderShipped>(FROM_GO.as_bytes()).expect("Go's envelope");
    assert_eq!(go.message.order_id, "o-9");
    assert_eq!(go.message.carrier, None);
    assert_eq!(go.meta.correlation_id.as_deref(), Some("req-123"));
    assert_eq!(
        go.meta.headers.get("X-Sequence").and_then(mmate::contract::HeaderValue::as_i64),
        Some(4)
    );
    let dotnet = envelope::decode::<Reading>(FROM_DOTNET.as_bytes()).expect(".NET's envelope");
    assert!((dotnet.message.value - 3.0).abs() < f64::EPSILON);
    assert_eq!(dotnet.meta.reply_to.as_deref(), Some("rpl.7"));
    assert_eq!(dotnet.meta.timestamp.to_string(), "2026-03-01T09:00:00.1234567Z");
}

#[test]
fn the_reply_address_of_the_payload_goes_before_the_envelopes() {
    let cases = [
        (r#"{"id":"1","type":"T","replyTo":"b","payload":{"replyTo":"a"}}"#, Some("a")),
        (r#"{"id":"1","type":"T","replyTo":"b","payload":{"replyTo":""}}"#, Some("b")),
        (r#"{"id":"1","type":"T","payload":{"nested":{"replyTo":"no"}}}"#, None),
        (r#"{"id":"1","type":"T","replyTo":""}"#, None),
        // Both places agree, as most siblings write it; or they seem to.
        (r#"{"id":"1","type":"T","replyTo":"b","payload":{"replyTo":"b"}}"#, Some("b")),
        (r#"{"id":"1","type":"T","replyTo":"b","payload":{"replyTo":"bc"}}"#, Some("bc")),
        (
            r#"{"id":"1","type":"T","replyTo":"b","payload":{"nested":{"replyTo":"b"},"replyTo":"a"}}"#,
            Some("a"),
        ),
        (r#"{"id":"1","type":"T","replyTo":"b","payload":{"nested":{"replyTo":"c"}}}"#, Some("b")),
        // The property has the address that the broker made of this.
        (r#"{"id":"1","type":"T","payload":{"replyTo":"amq.rabbitmq.reply-to"}}"#, None),
        (r#"{"id":"1","type":"T","replyTo":"amq.rabbitmq.reply-to"}"#, None),
        (
            r#"{"id":"1","type":"T","replyTo":"b","payload":{"replyTo":"amq.rabbitmq.reply-to"}}"#,
            Some("b"),
        ),
        (
            r#"{"id":"1","type":"T","replyTo":"amq.rabbitmq.reply-to.g1h2A==.5+c="}"#,
            Some("amq.rabbitmq.reply-to.g1h2A==.5+c="),
        ),
    ];
    for (body, expected) in cases {
        let opened = envelope::open(body.as_bytes()).expect("an envelope");
        assert_eq!(opened.reply_to().as_deref(), expected, "{body}");
    }
}

#[test]
fn addresses_are_those_of_the_family() {
    use mmate::contract::address::{Address, binding_patterns, default_queue};
    let cases = [
        (
            ChargeCard::INFO,
            None,
            "mmate.commands",
            "cmd.billing.ChargeCard",
            "cmd.billing.ChargeCard",
        ),
        (
            OrderShipped::INFO,
            Some("o.1"),
            "mmate.events",
            "evt.o.1.OrderShipped",
            "evt.order.OrderShipped.shop",
        ),
        (
            OrderShipped::INFO,
            None,
            "mmate.events",
            "evt.order.OrderShipped",
            "evt.order.OrderShipped.shop",
        ),
        (Reading::INFO, None, "mmate.events", "evt..sensor.read", "evt.sensor.read.shop"),
        (FindReceipt::INFO, None, "mmate.queries", "qry.FindReceipt", "qry.shop.FindReceipt"),
    ];
    for (info, key, exchange, routing_key, queue) in cases {
        let address = Address::of(info, "shop", key);
        assert_eq!((&*address.exchange, &*address.routing_key), (exchange, routing_key));
        assert_eq!(default_queue(info, "shop", None), queue);
    }
    assert_eq!(binding_patterns(Reading::INFO, "shop"), ["evt.#.sensor.read", "evt.#.SensorRead"]);
    assert_eq!(
        default_queue(OrderShipped::INFO, "shop", Some("mailer")),
        "evt.order.OrderShipped.mailer"
    );
    assert_eq!(ChargeCard::INFO.kind, Kind::Command);
}

#[test]
fn a_schema_is_the_same_text_every_time() {
    let text = mmate::contract::schema::file_text(ChargeCard::INFO);
    golden("ChargeCard.v1.json", &text);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["description"], "A command with every shape of value.");
}
