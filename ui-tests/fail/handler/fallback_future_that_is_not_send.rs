use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

async fn cached(event: OrderCreated) {
    let shared = std::rc::Rc::new(event);
    std::future::ready(()).await;
    drop(shared);
}

#[handler(fallback = cached)]
async fn on_created(event: OrderCreated) {
    let _ = event;
}

fn main() {}
