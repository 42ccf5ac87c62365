use mmate::{handler, message};

#[message(event, verson = 2)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated) {
    let _ = event.clone();
}

fn main() {}
