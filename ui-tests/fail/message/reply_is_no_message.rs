use mmate::message;

#[message(command, reply = OrderPlaced)]
pub struct CreateOrder {
    pub customer_id: String,
}

pub struct OrderPlaced {
    pub order_id: String,
}

fn main() {}
