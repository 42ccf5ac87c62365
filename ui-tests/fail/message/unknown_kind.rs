use mmate::message;

#[message(evnt)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
