use mmate::message;

#[message(event, reply = OrderPlaced)]
pub struct OrderCreated {
    pub order_id: String,
}

#[message(reply)]
pub struct OrderPlaced {
    pub order_id: String,
}

fn main() {}
