use mmate::message;

#[message(event)]
pub enum OrderClosed {
    Shipped { order_id: String },
    Cancelled,
}

fn main() {}
