//! The transport that `url` names.

use std::sync::Arc;
use std::time::Duration;

use super::config::Settings;
use crate::error::{Error, Result};
use crate::transport::memory::MemoryTransport;
use crate::transport::{Capabilities, Transport, TransportError, TransportErrorKind};

/// How often a waiting boot tries again.
const WAIT_PAUSE: Duration = Duration::from_secs(2);

/// What can be had behind a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Memory,
    #[cfg(feature = "amqp")]
    Amqp,
}

fn scheme(settings: &Settings) -> Result<Scheme, TransportError> {
    match settings.url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "memory" => Ok(Scheme::Memory),
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => Ok(Scheme::Amqp),
        // Not the text itself: without a scheme it may be anything, also a password.
        other => {
            let found = if other.is_empty() {
                "no scheme".to_owned()
            } else {
                format!("the scheme `{other}`")
            };
            let amqp = if cfg!(feature = "amqp") {
                "`amqp://..`, `amqps://..`"
            } else {
                "nothing else: feature `amqp` is off"
            };
            Err(TransportError::new(
                TransportErrorKind::Other,
                format!("`url` has {found}; this build knows `memory://` and {amqp}"),
            ))
        }
    }
}

/// What the transport of these settings will be able to do, known before it is connected.
pub(super) fn capabilities(settings: &Settings) -> Result<Capabilities, TransportError> {
    Ok(match scheme(settings)? {
        Scheme::Memory => MemoryTransport::CAPABILITIES,
        #[cfg(feature = "amqp")]
        Scheme::Amqp => crate::transport::amqp::AmqpTransport::CAPABILITIES,
    })
}

/// Connects; with `boot.wait` it keeps trying and says so.
pub(super) async fn connect(settings: &Settings) -> Result<Arc<dyn Transport>> {
    loop {
        match connect_once(settings).await {
            Err(Error::Transport(error)) if settings.wait && error.is_transient() => {
                tracing::warn!(%error, retry_in = ?WAIT_PAUSE, "the broker cannot be used yet; waiting for it");
                tokio::time::sleep(WAIT_PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn connect_once(settings: &Settings) -> Result<Arc<dyn Transport>> {
    match scheme(settings)? {
        Scheme::Memory => Ok(Arc::new(MemoryTransport::new())),
        #[cfg(feature = "amqp")]
        Scheme::Amqp => super::amqp::connect(settings).await,
    }
}
