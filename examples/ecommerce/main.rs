//! A shop of three services that know each other only by their messages.
//!
//! `orders`, `inventory` and `payment` run in this one process and share nothing; started as three
//! processes on one broker they would do the same. `journal` listens to all of them. The demo sends
//! the orders of `orders.jsonl`, good and bad, and judges what became of each.
//!
//! ```text
//! cargo run -p mmate-examples --example ecommerce                 the demo
//! cargo run -p mmate-examples --example ecommerce -- --serve      the demo, then serves on
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

mod journal;

mod demo;
mod feed;
mod judge;
mod outcome;
mod parked;
mod report;
#[cfg(test)]
mod tests;

use mmate::prelude::*;

#[mmate::main(log = "off", flags(serve = "Go on after the demo, until Ctrl-C"))]
async fn main() -> Result {
    let Some(running) = App::builder().registered().name("shop").launch().await? else {
        return Ok(());
    };
    demo::run(&running).await?;
    let serve = running.state::<Config>().map(|config| config.find("serve")).transpose()?;
    if serve.flatten().unwrap_or(false) {
        let stopped = running.until_stopped();
        println!("\nServing; Ctrl-C ends it.");
        println!("{}", stopped.await);
    } else {
        running.stop().await;
    }
    Ok(())
}
