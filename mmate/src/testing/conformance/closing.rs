//! The end of a connection.

use super::Failure;
use super::behaviour::{Checked, ensure, list};
use super::bench::{Bench, ensure_refused, to_queue, within};
use super::consumer::waited_in_vain;
use crate::transport::{PublishErrorKind, SubscribeOptions, TransportErrorKind};

list![
    a_closed_transport_publishes_nothing,
    a_closed_transport_consumes_nothing,
    closing_is_a_loss_to_the_consumers,
    closing_twice_is_harmless,
    closing_one_connection_leaves_the_others,
];

async fn a_closed_transport_publishes_nothing(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let other = bench.connect().await?;
    within("closing", other.close()).await?;
    let outcome = within("publishing", other.publish(to_queue(&queue, "late"))).await?;
    ensure_refused(outcome, PublishErrorKind::Closed)?;
    bench.ensure_empty(&queue).await
}

async fn a_closed_transport_consumes_nothing(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let other = bench.connect().await?;
    within("closing", other.close()).await?;
    match within("subscribing", other.subscribe(SubscribeOptions::new(&queue, 1))).await? {
        Ok(_) => Err(Failure::new("a closed transport could subscribe")),
        Err(error) => {
            let kind = error.kind();
            ensure!(kind == TransportErrorKind::Closed, "failed as {kind:?}: {error}");
            Ok(())
        }
    }
}

async fn closing_is_a_loss_to_the_consumers(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let other = bench.connect().await?;
    let waiting = bench.consume_on(&other, &queue, 1).await?;
    let waiting = waiting.wait_apart().await;
    within("closing", other.close()).await?;
    let error = waited_in_vain(waiting).await?;
    let kind = error.kind();
    ensure!(kind == TransportErrorKind::Closed, "lost as {kind:?}: {error}");
    Ok(())
}

async fn closing_twice_is_harmless(bench: &Bench) -> Checked {
    let other = bench.connect().await?;
    within("closing", other.close()).await?;
    within("closing a second time", other.close()).await
}

async fn closing_one_connection_leaves_the_others(bench: &Bench) -> Checked {
    let queue = bench.queue("q").await?;
    let mut consumer = bench.consume(&queue, 1).await?;
    let other = bench.connect().await?;
    within("closing", other.close()).await?;
    bench.fill(&queue, &["still here"]).await?;
    consumer.ack_next("still here").await
}
