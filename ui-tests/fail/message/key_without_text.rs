use mmate::message;

#[message(event, key = items)]
pub struct OrderCreated {
    pub items: Vec<String>,
}

fn main() {}
