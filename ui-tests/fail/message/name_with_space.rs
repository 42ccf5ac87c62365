use mmate::message;

#[message(event, name = "Order Created")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
