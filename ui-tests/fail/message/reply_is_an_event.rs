use mmate::message;

#[message(command, reply = OrderCreated)]
pub struct CreateOrder {
    pub customer_id: String,
}

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
