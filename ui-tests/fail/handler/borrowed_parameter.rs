use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated, name: std::borrow::Cow<'_, str>) {
    let _ = (event, name);
}

fn main() {}
