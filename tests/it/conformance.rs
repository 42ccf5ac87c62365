//! The behaviours of transports on RabbitMQ; the in-memory transport runs them as a unit test.

use mmate::testing::conformance;
use mmate_tests::amqp_url;

#[tokio::test]
async fn rabbitmq_shows_every_behaviour_that_it_claims() {
    use mmate::transport::Transport;
    use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
    use std::sync::Arc;

    let connect = || async {
        let transport: Arc<dyn Transport> =
            Arc::new(AmqpTransport::connect(AmqpConfig::new(amqp_url())).await?);
        Ok(transport)
    };
    let report = conformance::run(connect, "").await;
    println!("{report}");
    assert!(report.is_ok() && report.passed().count() >= 30, "{report}");
}

/// What is not marked for the short way goes as if there were none.
#[tokio::test(start_paused = true)]
async fn the_short_way_keeps_a_transport_from_no_behaviour() {
    use mmate::transport::memory::MemoryTransport;
    use mmate::transport::{Loopback, Transport};
    use std::sync::Arc;

    let broker = MemoryTransport::new();
    let connect = move || {
        let transport: Arc<dyn Transport> = Arc::new(Loopback::new(Arc::new(broker.clone())));
        async move { Ok(transport) }
    };
    let report = conformance::run(connect, "").await;
    assert!(report.is_ok() && report.passed().count() >= 30, "{report}");
}
