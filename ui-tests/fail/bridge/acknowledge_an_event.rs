use mmate::prelude::*;

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

pub async fn announce(publisher: &Publisher, event: OrderCreated) {
    let _ = publisher.publish(event).acknowledged("5s").await;
}

fn main() {}
