use mmate::message;

#[derive(Clone)]
#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
