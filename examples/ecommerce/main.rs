//! A shop whose orders are durable workflows: reserved, charged and shipped, or undone.
//!
//! `orders` accepts an order at once and starts its workflow, whose stages go out to a warehouse, a bank, a carrier and the
//! mail (`world`). `journal` listens, and `edge` is the way out to HTTP. The demo sends the orders of `orders.jsonl`, good and
//! bad, as messages and by HTTP, and judges what became of each.
//!
//! ```text
//! cargo run -p mmate-examples --example ecommerce                 the demo
//! cargo run -p mmate-examples --example ecommerce -- --serve      the demo, then serves on, HTTP too
//! cargo run -p mmate-examples --example ecommerce -- routes       what there is
//! MMATE_URL=amqp://localhost cargo run ..                         the same on RabbitMQ
//! MMATE_WORKFLOWS_STORE=sqlite://shop.db cargo run ..             with workflows that outlive the process
//! MMATE_LOG=info cargo run ..                                     with what Mmate says of it
//! MMATE_URL=.. cargo run .. -- --chaos                            three processes, one of which is killed every second
//! ```
//!
//! One of them at a time may run on a broker: they would take each other's orders.

#![expect(unreachable_pub, reason = "in a program `pub` says what other modules may use")]

mod contracts;

mod orders;
mod world;

mod edge;
mod journal;

mod browser;
mod chaos;
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

/// The shop: all that is in this program. Its workflows are in memory unless a database is named.
fn shop() -> AppBuilder {
    let shop = App::builder().registered().name("shop");
    let shop = shop.config("bridge.max_concurrent", PLACES).config("bridge.waiting_max", 0);
    if std::env::var_os("MMATE_WORKFLOWS_STORE").is_some() {
        return shop;
    }
    shop.config("workflows.store", "memory:")
}

#[mmate::main(
    log = "off",
    flags(
        serve = "Go on after the demo, until Ctrl-C",
        chaos = "Instead of the demo: processes that are killed while they work, on RabbitMQ"
    )
)]
async fn main() -> Result {
    let app = if chaos::is_asked_for() { chaos::customers() } else { shop() };
    let Some(running) = app.launch().await? else {
        return Ok(());
    };
    let config = running.state::<Config>();
    let config = config.ok_or_else(|| HandlerError::msg("there is no configuration"))?;
    if chaos::is_asked_for() {
        return chaos::run(&running, &config).await;
    }
    if world::is_elsewhere(&config)? {
        chaos::work(running).await;
        return Ok(());
    }
    demo::run(&running).await?;
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
