//! A shop of three services that know each other only by their messages.
//!
//! `orders`, `inventory` and `payment` run in this one process and share nothing; started as three
//! processes on one broker they would do the same. `journal` listens to all of them, and `edge` is their way
//! out to HTTP. The demo sends the orders of `orders.jsonl`, good and bad, as messages and by HTTP, and judges
//! what became of each.
//!
//! ```text
//! cargo run -p mmate-examples --example ecommerce                 the demo
//! cargo run -p mmate-examples --example ecommerce -- --serve      the demo, then serves on, HTTP too
//! cargo run -p mmate-examples --example ecommerce -- routes       what there is
//! MMATE_URL=amqp://localhost cargo run ..                         the same on RabbitMQ
//! MMATE_LOG=info cargo run ..                                     with what Mmate says of it
//! ```
//!
//! The services keep their state in memory, so one process at a time may run on a broker.

#![expect(unreachable_pub, reason = "in a program `pub` says what other modules may use")]

mod contracts;

mod inventory;
mod orders;
mod payment;

mod edge;
mod journal;

mod browser;
mod customers;
mod demo;
mod feed;
mod judge;
mod outcome;
mod parked;
mod report;
#[cfg(test)]
mod tests;

use mmate::http;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};

/// How many requests wait for their answers at a time; what comes then is told to come again. So few that the
/// demo can be one too many.
const PLACES: i64 = 8;

/// The shop: all that is in this program.
fn shop() -> AppBuilder {
    let shop = App::builder().registered().name("shop");
    shop.config("bridge.max_concurrent", PLACES).config("bridge.waiting_max", 0)
}

#[mmate::main(log = "off", flags(serve = "Go on after the demo, until Ctrl-C"))]
async fn main() -> Result {
    let Some(running) = shop().launch().await? else {
        return Ok(());
    };
    demo::run(&running).await?;
    let config = running.state::<Config>();
    let config = config.ok_or_else(|| HandlerError::msg("there is no configuration"))?;
    if !config.find("serve")?.unwrap_or(false) {
        running.stop().await;
        return Ok(());
    }
    let address: Option<String> = config.find("edge.listen")?;
    serve(running, address.as_deref().unwrap_or("127.0.0.1:0")).await
}

/// Serves HTTP until the process is asked to stop; then requests, handlers and app end in order.
async fn serve(running: Running, address: &str) -> Result {
    let listener = http::bind(address).await?;
    let routes = edge::routes(running.bridge()).merge(http::health(&running));
    let url = format!("http://{}", listener.local_addr()?);
    let edge = http::serve(running, listener, routes);
    println!("\nServing at {url}; Ctrl-C ends it.");
    println!(
        "curl -i {url}/api/orders -H 'content-type: application/json' -d '{{\"orderId\":\"a1\",\"customerId\":\"ada\",\
         \"card\":\"tok_visa\",\"items\":[{{\"productId\":\"tea\",\"quantity\":2}}]}}'"
    );
    println!("{}", edge.await);
    Ok(())
}
