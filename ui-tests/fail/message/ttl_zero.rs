use mmate::message;

#[message(event, ttl = "0s")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
