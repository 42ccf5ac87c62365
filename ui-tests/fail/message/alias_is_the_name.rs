use mmate::message;

#[message(event, alias = "OrderCreated")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
