use mmate::message;

#[message(event, color = "red")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
