use mmate::message;

#[message(event, version = 0)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
