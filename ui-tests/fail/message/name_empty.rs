use mmate::message;

#[message(event, name = "")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
