use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

const LIMIT: &str = "16";

#[handler(concurrency = LIMIT)]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
