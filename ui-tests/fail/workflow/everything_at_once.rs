use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow(ident = "orders", version = 0, timeout)]
impl OrderFlow {
    #[stage(compensate = refnd, timeout = "20")]
    fn charge(&self) {}

    #[stage(parallel = checks, repeat = has_more)]
    async fn credit<T>(self) {}

    async fn refund(&mut self) {}

    async fn has_more(&mut self) {}
}

fn main() {}
