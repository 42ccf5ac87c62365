use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

trait Validates {
    async fn validate(&mut self);
}

#[workflow]
impl Validates for OrderFlow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
