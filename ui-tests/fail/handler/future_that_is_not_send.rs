use std::rc::Rc;

use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated) {
    let shared = Rc::new(event);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
