use mmate::message;

#[message(event, alias = [])]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
