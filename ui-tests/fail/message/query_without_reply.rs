use mmate::message;

#[message(query)]
pub struct FindOrder {
    pub order_id: String,
}

fn main() {}
