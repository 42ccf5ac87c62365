use mmate::message;

#[message(event, alias = [1, 2])]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
