use mmate::message;

#[message(event, name = "amq.order")]
pub struct OrderCreated {
    pub order_id: String,
}

fn main() {}
