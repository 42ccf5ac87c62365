//! What travels arrives as it was sent.

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, to_exchange, to_queue};
use super::consumer::text;
use crate::contract::{HeaderValue, Headers, Text};
use crate::transport::{Delivery, ExchangeKind, Outgoing, Properties, Queue, Settlement};

list![
    a_body_arrives_unchanged,
    an_empty_body_arrives,
    a_body_of_one_mebibyte_arrives,
    every_property_arrives,
    header_values_of_every_scalar_type_arrive,
    lists_and_tables_in_headers_arrive,
    names_and_headers_in_any_language_arrive,
    a_delivery_names_its_exchange_and_routing_key,
    a_new_message_is_not_marked_as_redelivered,
];

/// Publishes to a new queue and consumes there.
async fn round_trip(
    bench: &Bench,
    change: impl FnOnce(&mut Outgoing),
) -> Result<Delivery, Failure> {
    let queue = bench.queue("q").await?;
    let mut outgoing = to_queue(&queue, "body");
    change(&mut outgoing);
    bench.publish(outgoing).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.next().await?;
    consumer.settle(&delivery, Settlement::Ack).await?;
    Ok(delivery)
}

async fn body_round_trip(bench: &Bench, body: Vec<u8>) -> Checked {
    let sent = body.clone();
    let delivery = round_trip(bench, |outgoing| outgoing.body = sent.into()).await?;
    ensure!(
        delivery.body == body,
        "the body differs: {} bytes were sent, {} came",
        body.len(),
        delivery.body.len()
    );
    Ok(())
}

async fn header_round_trip(bench: &Bench, headers: &[(&str, HeaderValue)]) -> Checked {
    let headers = headers.iter().cloned();
    let headers: Headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
    let sent = headers.clone();
    let delivery = round_trip(bench, |outgoing| outgoing.properties.headers = sent).await?;
    for (name, value) in headers.iter() {
        let came = delivery.properties.headers.get(name);
        ensure!(
            came == Some(value),
            "the header `{name}` was sent as {value:?} and came as {came:?}"
        );
    }
    Ok(())
}

async fn a_body_arrives_unchanged(bench: &Bench) -> Checked {
    body_round_trip(bench, (0..=255).collect()).await
}

async fn an_empty_body_arrives(bench: &Bench) -> Checked {
    body_round_trip(bench, Vec::new()).await
}

async fn a_body_of_one_mebibyte_arrives(bench: &Bench) -> Checked {
    // Larger than a frame of AMQP, and without a period that would hide swapped frames.
    let body = (0..1_048_576_u32).map(|at| (at % 251) as u8).collect();
    body_round_trip(bench, body).await
}

async fn every_property_arrives(bench: &Bench) -> Checked {
    let some = |text: &str| Some(Text::from(text));
    let sent = Properties {
        message_id: some("id-1"),
        correlation_id: some("correlation-1"),
        message_type: some("OrderPlaced"),
        timestamp: Some(1_767_225_600),
        content_type: some("application/json"),
        content_encoding: some("identity"),
        reply_to: some("answers"),
        expiration_ms: Some(600_000),
        priority: Some(7),
        app_id: some("shop"),
        persistent: true,
        headers: Headers::new(),
    };
    let expected = sent.clone();
    let delivery = round_trip(bench, |outgoing| outgoing.properties = sent).await?;
    // A broker may add headers of its own.
    let came = Properties { headers: Headers::new(), ..delivery.properties };
    ensure!(came == expected, "sent {expected:?}, came {came:?}");
    Ok(())
}

async fn header_values_of_every_scalar_type_arrive(bench: &Bench) -> Checked {
    let headers = [
        ("null", HeaderValue::Null),
        ("yes", HeaderValue::Bool(true)),
        ("no", HeaderValue::Bool(false)),
        ("small", HeaderValue::Int(-1)),
        ("least", HeaderValue::Int(i64::MIN)),
        ("greatest", HeaderValue::Int(i64::MAX)),
        ("float", HeaderValue::Float(-0.1)),
        ("text", HeaderValue::Text("value".into())),
        ("digits", HeaderValue::Text("42".into())),
        ("empty", HeaderValue::Text(String::new().into())),
        ("time", HeaderValue::Time(1_767_225_600)),
    ];
    header_round_trip(bench, &headers).await
}

async fn lists_and_tables_in_headers_arrive(bench: &Bench) -> Checked {
    let inner = [("a".to_owned(), HeaderValue::Int(1))];
    let list = vec![HeaderValue::Int(1), HeaderValue::Text("two".into())];
    let headers = [
        ("bytes", HeaderValue::Bytes(vec![0, 159, 255])),
        ("decimal", HeaderValue::Decimal { scale: 2, value: 1_995 }),
        ("list", HeaderValue::List(list)),
        ("table", HeaderValue::Table(inner.into_iter().collect())),
    ];
    header_round_trip(bench, &headers).await
}

async fn names_and_headers_in_any_language_arrive(bench: &Bench) -> Checked {
    let queue = bench.name("Bestellungen-für-日本-🚚");
    bench.declare(Queue::new(&queue)).await?;
    let mut outgoing = to_queue(&queue, "grüße");
    let value = "Ωμέγα 🎁";
    outgoing.properties.headers.set("größe", value);
    bench.publish(outgoing).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("grüße").await?;
    let came = delivery.properties.headers.text("größe");
    ensure!(came == Some(value), "the header came as {came:?}");
    ensure!(delivery.routing_key == queue, "the routing key came as `{}`", delivery.routing_key);
    consumer.settle(&delivery, Settlement::Ack).await
}

async fn a_delivery_names_its_exchange_and_routing_key(bench: &Bench) -> Checked {
    let queue = bench.bound("q", ExchangeKind::Topic, &["#"]).await?;
    let key = bench.name("a.b");
    let outgoing = to_exchange(ExchangeKind::Topic, &key, "body");
    let exchange = outgoing.address.exchange.clone();
    bench.publish(outgoing).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let delivery = consumer.expect("body").await?;
    ensure!(
        delivery.exchange == exchange && delivery.routing_key == key,
        "sent to `{exchange}` with `{key}`, came from `{}` with `{}`",
        delivery.exchange,
        delivery.routing_key
    );
    consumer.settle(&delivery, Settlement::Ack).await
}

async fn a_new_message_is_not_marked_as_redelivered(bench: &Bench) -> Checked {
    let delivery = round_trip(bench, |_| {}).await?;
    ensure!(
        !delivery.redelivered && delivery.earlier_deliveries() == 0,
        "`{}` came for the first time, marked redelivered={} with {} earlier deliveries",
        text(&delivery),
        delivery.redelivered,
        delivery.earlier_deliveries()
    );
    Ok(())
}
