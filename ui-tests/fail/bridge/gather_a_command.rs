use mmate::prelude::*;

#[message(command, reply = OrderPlaced)]
pub struct CreateOrder {
    pub customer: String,
}

#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
}

pub async fn order(bridge: &Bridge, order: CreateOrder) {
    let _ = bridge.gather(order).min(3).within("5s").await;
}

fn main() {}
