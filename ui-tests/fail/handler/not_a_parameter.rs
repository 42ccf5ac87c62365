use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated, names: std::vec::Vec<u8>) {
    let _ = (event, names);
}

fn main() {}
