use mmate::message;

#[message(event)]
pub struct OrderCreated
where
    String: Clone,
{
    pub order_id: String,
}

fn main() {}
