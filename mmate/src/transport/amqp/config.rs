//! How to reach a RabbitMQ broker, and the limits that are kept with it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::redacted_url;

/// Where the broker is and what may be asked of it. Neither `Debug` nor an error shows a password.
///
/// Every field has a default; [`AmqpConfig::new`] needs the URL alone. `heartbeat`, `frame_max` and
/// `connection_timeout` (milliseconds) in the URL's query win over the fields; `cacertfile`,
/// `certfile` and `keyfile` fill the TLS fields that are not set.
///
/// ```
/// use std::time::Duration;
/// use mmate::transport::amqp::AmqpConfig;
///
/// let mut config = AmqpConfig::new("amqp://user:secret@broker.example:5672/orders");
/// config.app_name = "billing".to_owned();
/// config.publish_timeout = Duration::from_secs(10);
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct AmqpConfig {
    pub(super) url: String,
    /// The name under which the broker lists the connections. Default `mmate`.
    pub app_name: String,
    /// The longest time to reach a broker: name, TCP, TLS and login together; also how long a
    /// subscription waits for a connection that is being made again. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest wait for one answer of the broker: a declaration, a consumer, a cancellation.
    /// Default 10 s.
    pub call_timeout: Duration,
    /// How long a publish waits for its confirm, an outage included. Then it is
    /// [`Unknown`](crate::transport::PublishErrorKind::Unknown). Default 30 s.
    pub publish_timeout: Duration,
    /// The longest time for closing: once for the confirms that are missing, once for the
    /// connections. Default 5 s.
    pub close_timeout: Duration,
    /// How often both sides show that they live, in whole seconds; silence of twice as long is a
    /// lost connection. The broker may ask for less. Default 10 s; 0 leaves it to the broker.
    pub heartbeat: Duration,
    /// The first pause before a lost connection is tried again; it doubles. Default 100 ms.
    pub reconnect_delay_min: Duration,
    /// The longest pause between two tries. They never end. Default 5 s.
    pub reconnect_delay_max: Duration,
    /// The largest AMQP frame in bytes; a connection keeps 64 of them as buffers. 0 takes what the
    /// broker allows, usually 131,072. Properties and headers must fit into one frame, so a smaller
    /// one cannot receive what others send with the default. Default 0.
    pub frame_bytes_max: u32,
    /// The largest body that is sent, in bytes. Default 16,777,216, as RabbitMQ 4 takes.
    pub message_bytes_max: usize,
    /// How many publishes may wait for their confirm, a body counting once per 16 KiB begun; more
    /// callers wait. It bounds memory: 64 MiB of bodies with the default, 4,096.
    pub publish_in_flight_max: u32,
    /// For how long nothing must come after a finished delivery for it to be acknowledged, where fewer than half the
    /// prefetch are finished. If others come meanwhile, it waits 25 times as long, to be acknowledged with them.
    /// Default 2 ms.
    pub ack_delay: Duration,
    /// Certificates of authorities in PEM that are trusted beside those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// The client's certificate in PEM; needs `tls_key_file`.
    pub tls_certificate_file: Option<PathBuf>,
    /// The key of the client's certificate, PKCS#8 in PEM without a password.
    pub tls_key_file: Option<PathBuf>,
    /// The client's certificate and key in one PKCS#12 file, instead of the two above.
    pub tls_identity_file: Option<PathBuf>,
    /// The password of `tls_identity_file`. Default empty.
    pub tls_identity_password: String,
}

impl AmqpConfig {
    /// Defaults for a broker: `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS.
    ///
    /// Several URLs with commas between them are brokers that stand in for each other, such as the nodes
    /// of a cluster: the boot tries them in this order, and a lost connection is made again from the
    /// next one on. They have the same virtual host; the TLS fields count for all of them.
    ///
    /// A password with `@`, `/`, `?` or `#` is percent-encoded, as in any URL. No path, or `/`
    /// alone, is the virtual host `/`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            app_name: "mmate".to_owned(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            reconnect_delay_min: Duration::from_millis(100),
            reconnect_delay_max: Duration::from_secs(5),
            frame_bytes_max: 0,
            message_bytes_max: 16 * 1024 * 1024,
            publish_in_flight_max: 4096,
            ack_delay: Duration::from_millis(2),
            tls_ca_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
            tls_identity_file: None,
            tls_identity_password: String::new(),
        }
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("url", &redacted_url(&self.url))
            .field("app_name", &self.app_name)
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("publish_timeout", &self.publish_timeout)
            .field("close_timeout", &self.close_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("reconnect_delay_min", &self.reconnect_delay_min)
            .field("reconnect_delay_max", &self.reconnect_delay_max)
            .field("frame_bytes_max", &self.frame_bytes_max)
            .field("message_bytes_max", &self.message_bytes_max)
            .field("publish_in_flight_max", &self.publish_in_flight_max)
            .field("ack_delay", &self.ack_delay)
            .field("tls_ca_file", &self.tls_ca_file)
            .field("tls_certificate_file", &self.tls_certificate_file)
            .field("tls_key_file", &self.tls_key_file)
            .field("tls_identity_file", &self.tls_identity_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_user_nor_password() {
        let mut config = AmqpConfig::new("amqp://alice:s3cret@host/v");
        config.tls_identity_password = "p12secret".to_owned();
        let text = format!("{config:?}");
        for secret in ["alice", "s3cret", "p12secret"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("amqp://***:***@host:5672/v"), "{text}");
    }
}
