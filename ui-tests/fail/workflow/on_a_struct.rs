use mmate::{payload, workflow};

#[workflow]
#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

fn main() {}
