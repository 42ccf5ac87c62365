use mmate::handler::Context;
use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(ctx: Context, event: OrderCreated) {
    let _ = (event, ctx);
}

fn main() {}
