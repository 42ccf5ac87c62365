use mmate::message;

#[message(reply, queue = "orders")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
