use mmate::message;

#[message(event, key = orderid)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
