use mmate::message;

#[message(event, key = "order_id")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
