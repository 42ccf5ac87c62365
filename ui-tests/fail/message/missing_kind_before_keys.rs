use mmate::message;

#[message(version = 2)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
