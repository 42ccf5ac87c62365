use mmate::prelude::*;

#[message(command)]
pub struct CreateOrder {
    pub customer: String,
}

pub async fn order(bridge: &Bridge, order: CreateOrder) {
    let _ = bridge.ask(order).await;
}

fn main() {}
