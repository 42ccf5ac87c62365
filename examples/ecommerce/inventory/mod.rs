//! The inventory service: sets stock aside for orders, and puts it back.

mod stock;

use mmate::prelude::*;

pub use stock::{Inventory, Reservation, Stock};

use crate::contracts::{OrderPlaced, ReleaseStock, StockRefused, StockReleased, StockReserved};

#[provider]
async fn stock() -> Stock {
    Stock::new()
}

/// Sets aside what an order needs, or says what is missing.
#[handler(group = "inventory", concurrency = 8)]
async fn reserve_stock(event: OrderPlaced, stock: State<Stock>, publisher: Publisher) -> Result {
    let order_id = event.order_id;
    match stock.reserve(&order_id, &event.items) {
        Reservation::Held(_) => {
            publisher.publish(StockReserved { order_id }).await?;
        }
        Reservation::Refused(reason) => {
            publisher.publish(StockRefused { order_id, reason }).await?;
        }
        // The order is over: nobody waits for a word.
        Reservation::Released => {}
    }
    Ok(())
}

/// Puts back what an order no longer needs.
#[handler]
async fn release_stock(command: ReleaseStock, stock: State<Stock>, publisher: Publisher) -> Result {
    stock.release(&command.order_id);
    publisher.publish(StockReleased { order_id: command.order_id }).await?;
    Ok(())
}
