use mmate::prelude::*;

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

pub async fn announce(bridge: &Bridge, event: OrderCreated) {
    let _ = bridge.ask(event).timeout("5s").await;
}

fn main() {}
