use mmate::message;

#[message(event, key = order_id)]
pub enum OrderClosed {
    Shipped { order_id: String },
}

fn main() {}
