use mmate::message;

#[message(command, aggregate = "order")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
