use mmate::message;

#[message(event, version)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
