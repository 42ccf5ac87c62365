use mmate::message;

#[message(event, priority = 10)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
