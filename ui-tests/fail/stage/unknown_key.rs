use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(compensation = refund)]
    async fn charge(&mut self) {}

    pub async fn refund(&mut self) {}
}

fn main() {}
