use mmate::message;

#[message(reply, key = order_id)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
