use mmate::message;

#[message]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
