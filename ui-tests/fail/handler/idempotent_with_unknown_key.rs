use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler(idempotent(max = 10))]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
