use mmate::handler::HandlerResult;
use mmate::{handler, message};

#[message(command)]
pub struct CreateOrder {
    pub customer_id: String,
}

#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
}

#[handler]
async fn create_order(cmd: CreateOrder) -> HandlerResult<OrderPlaced> {
    Ok(OrderPlaced { order_id: cmd.customer_id })
}

fn main() {}
