use mmate::message;

#[message(event, ttl = "99999999999999999999s")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
