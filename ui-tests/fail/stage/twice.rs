use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    #[stage(timeout = "20s")]
    async fn charge(&mut self) {}
}

fn main() {}
