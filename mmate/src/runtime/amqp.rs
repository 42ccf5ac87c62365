//! Settings -> a connection to RabbitMQ.

use std::sync::Arc;

use super::config::Settings;
use crate::error::Result;
use crate::transport::Transport;
use crate::transport::amqp::{AmqpConfig, AmqpTransport};

pub(super) async fn connect(settings: &Settings) -> Result<Arc<dyn Transport>> {
    let mut config = AmqpConfig::new(&settings.url);
    config.app_name.clone_from(&settings.service);
    config.connect_timeout = settings.connect_timeout;
    config.publish_timeout = settings.publish_timeout;
    // The limit holds where messages are encoded. A copy for the dead-letter queue may be larger: it came
    // from a peer with other limits, and the broker has held it before.
    config.message_bytes_max = usize::MAX;
    config.tls_ca_file.clone_from(&settings.tls_ca_file);
    config.tls_identity_file.clone_from(&settings.tls_identity_file);
    config.tls_identity_password = settings.tls_identity_password.clone().unwrap_or_default();
    Ok(Arc::new(AmqpTransport::connect(config).await?))
}
