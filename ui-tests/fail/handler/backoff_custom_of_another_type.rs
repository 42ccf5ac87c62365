use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

fn waits(attempt: u32) -> u64 {
    u64::from(attempt)
}

#[handler(retry(backoff = custom(waits)))]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
