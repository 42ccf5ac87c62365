use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler(idempotent = "1d")]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
