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
