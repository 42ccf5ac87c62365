use mmate::message;

#[message(event)]
pub struct OrderCreated<'a> {
    pub order_id: &'a str,
}

fn main() {}
