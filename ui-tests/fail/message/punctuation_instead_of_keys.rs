use mmate::message;

#[message(event, = 2)]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
