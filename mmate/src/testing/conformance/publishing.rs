//! A publish is `Ok` when the broker has the message, and says so when it has not.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, ensure_refused, to_exchange, to_queue, within};
use super::consumer::text;
use crate::transport::{ExchangeKind, PublishErrorKind, Settlement};

list![
    a_confirmed_message_outlives_its_publisher[Confirms],
    sequential_publishes_keep_their_order,
    publishes_of_many_tasks_all_arrive_once,
    an_unroutable_message_is_an_error[Mandatory],
    an_unroutable_message_is_an_error_on_the_default_exchange[Mandatory],
    an_unroutable_message_is_kept_nowhere,
    an_optional_message_may_be_unroutable,
    a_missing_exchange_is_an_error,
];

const TASKS: usize = 50;

async fn a_confirmed_message_outlives_its_publisher(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let publisher = bench.connect().await?;
    within("publishing", publisher.publish(to_queue(&queue, "kept"))).await??;
    within("closing", publisher.close()).await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    consumer.ack_next("kept").await
}

async fn sequential_publishes_keep_their_order(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut consumer = bench.consume(&queue, 100).await?;
    let bodies: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for body in &bodies {
        bench.publish(to_queue(&queue, body)).await?;
    }
    for body in &bodies {
        consumer.ack_next(body).await?;
    }
    Ok(())
}

async fn publishes_of_many_tasks_all_arrive_once(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let transport = Arc::clone(bench.transport());
        let outgoing = to_queue(&queue, number.to_string());
        tasks.spawn(async move { transport.publish(outgoing).await });
    }
    while let Some(task) = within("publishing", tasks.join_next()).await? {
        task.map_err(|error| Failure::new(format!("a publishing task failed: {error}")))??;
    }
    let mut consumer = bench.consume(&queue, 10).await?;
    let mut came = BTreeSet::new();
    for _ in 0..TASKS {
        let delivery = consumer.next().await?;
        let body = text(&delivery).into_owned();
        ensure!(came.insert(body), "`{}` came twice", text(&delivery));
        consumer.settle(&delivery, Settlement::Ack).await?;
    }
    drop(consumer);
    bench.ensure_empty(&queue).await
}

async fn an_unroutable_message_is_an_error(bench: &Bench) -> Checked {
    // The exchange is there, and bound, but not for this key.
    bench.bound("q", ExchangeKind::Topic, &["bound"]).await?;
    let key = bench.name("unbound");
    let outgoing = to_exchange(ExchangeKind::Topic, &key, "nobody");
    ensure_refused(bench.try_publish(outgoing).await?, PublishErrorKind::Unroutable)?;
    // A refusal must not break the connection for those that follow.
    let key = bench.name("bound");
    bench.publish(to_exchange(ExchangeKind::Topic, &key, "somebody")).await
}

async fn an_unroutable_message_is_an_error_on_the_default_exchange(bench: &Bench) -> Checked {
    let outgoing = to_queue(&bench.name("missing"), "nobody");
    ensure_refused(bench.try_publish(outgoing).await?, PublishErrorKind::Unroutable)
}

async fn an_unroutable_message_is_kept_nowhere(bench: &Bench) -> Checked {
    let queue = bench.name("q");
    // Whether it is an error is another behaviour.
    drop(bench.try_publish(to_queue(&queue, "too early")).await?);
    bench.queue("q").await?;
    bench.ensure_empty(&queue).await
}

async fn an_optional_message_may_be_unroutable(bench: &Bench) -> Checked {
    bench.bound("q", ExchangeKind::Topic, &["bound"]).await?;
    let key = bench.name("unbound");
    let outgoing = to_exchange(ExchangeKind::Topic, &key, "nobody");
    bench.publish(outgoing.mandatory(false)).await
}

async fn a_missing_exchange_is_an_error(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    for mandatory in [true, false] {
        let mut outgoing = to_queue("key", "body").mandatory(mandatory);
        outgoing.address.exchange = bench.name("missing").into();
        ensure_refused(bench.try_publish(outgoing).await?, PublishErrorKind::NoExchange)?;
    }
    bench.publish(to_queue(&queue, "body")).await
}
