use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(key = order_id)]
    async fn paid(&mut self) {}
}

fn main() {}
