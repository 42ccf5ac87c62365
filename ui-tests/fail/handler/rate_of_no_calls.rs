use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler(rate(0, per = "1s"))]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
