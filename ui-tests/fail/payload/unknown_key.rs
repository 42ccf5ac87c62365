use mmate::payload;

#[payload(name = "Item")]
pub struct OrderItem {
    pub product_id: String,
}

fn main() {}
