use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(within = "24h")]
    async fn paid(&mut self) {}
}

fn main() {}
