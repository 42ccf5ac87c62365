//! Two programs for a profiler, on one thread: messages are put into a queue in memory, and what lies
//! there is consumed.

use std::sync::Arc;

use super::memory::transport;
use super::service::{app_on, publisher_on};
use crate::Result;
use crate::message::OrderPlaced;
use crate::meter::Meter;

/// The payload's size in bytes.
const PAYLOAD_BYTES: usize = 256;

/// Publishes so many messages and then consumes some of them.
///
/// The difference of two runs that consume different numbers is the cost of consuming.
pub(crate) fn run(messages: u32, consumed: u32) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let order = OrderPlaced::of_bytes(PAYLOAD_BYTES);
        let meter = Arc::new(Meter::new(consumed.max(1)));
        let transport = transport(messages);
        let app = app_on(Arc::clone(&transport), &meter).build()?;
        transport.declare(&app.plan().topology).await?;
        let publishing = publisher_on(transport).start().await?;
        let publisher = publishing.publisher();
        for _ in 0..messages {
            publisher.publish(order.clone()).await?;
        }
        if consumed > 0 {
            let app = app.start().await?;
            meter.finish().await?;
            app.stop().await;
        }
        Ok(())
    })
}
