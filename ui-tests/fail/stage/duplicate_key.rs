use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(timeout = "20s", timeout = "30s")]
    async fn charge(&mut self) {}
}

fn main() {}
