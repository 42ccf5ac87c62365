use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow(concurrency = 0)]
impl OrderFlow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
