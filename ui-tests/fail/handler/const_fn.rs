use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
const fn on_created(event: OrderCreated) {
    std::mem::forget(event);
}

fn main() {}
