use mmate::handler::HandlerResult;
use mmate::{handler, message};

#[message(command, reply = OrderPlaced)]
pub struct CreateOrder {
    pub customer_id: String,
}

#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
}

#[message(reply)]
pub struct OrderLost {
    pub order_id: String,
}

#[handler]
async fn create_order(cmd: CreateOrder) -> HandlerResult<OrderLost> {
    Ok(OrderLost { order_id: cmd.customer_id })
}

fn main() {}
