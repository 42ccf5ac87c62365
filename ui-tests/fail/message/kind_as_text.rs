use mmate::message;

#[message("event")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
