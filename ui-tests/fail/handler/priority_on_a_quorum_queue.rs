use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler(queue_type = quorum, max_priority = 9)]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
