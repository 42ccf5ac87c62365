use mmate::message;

#[message(event)]
#[mmate::payload]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
