use mmate::message;

#[message(event, ttl = "10")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
