use mmate::message;

#[message(event, service = "orders")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
