use mmate::message;
use mmate::publish::Publisher;

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

pub fn announce(publisher: &Publisher, event: OrderCreated) {
    let _ = publisher.send(event);
}

fn main() {}
