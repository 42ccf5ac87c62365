use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow(prefix = "amq.orders.")]
impl OrderFlow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
