use mmate::message;

#[message(event, crate = mmate)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
