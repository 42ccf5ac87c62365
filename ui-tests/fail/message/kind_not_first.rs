use mmate::message;

#[message(version = 2, event)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
