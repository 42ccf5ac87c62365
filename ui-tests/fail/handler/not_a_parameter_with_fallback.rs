use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

async fn cached(_: OrderCreated, _: Vec<u8>) {}

#[handler(fallback = cached)]
async fn on_created(event: OrderCreated, bytes: Vec<u8>) {
    let _ = (event, bytes);
}

fn main() {}
