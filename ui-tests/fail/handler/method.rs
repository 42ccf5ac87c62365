use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

pub struct Orders;

impl Orders {
    #[handler]
    async fn on_created(&self, event: OrderCreated) {
        let _ = event;
    }
}

fn main() {}
