use mmate::message;

#[message(event, version = 2 priority = 3)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
