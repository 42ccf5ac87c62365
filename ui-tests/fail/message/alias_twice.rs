use mmate::message;

#[message(event, alias = ["OrderMade", "OrderMade"])]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
