use mmate::message;

#[message(event, version = 2, version = 3)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
