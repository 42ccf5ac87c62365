use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated, names: Vec<u8>, limit: u32) {
    let _ = (event, names, limit);
}

fn main() {}
