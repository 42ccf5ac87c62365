use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(when = charge)]
    async fn customs(&mut self) {}

    #[stage]
    async fn charge(&mut self) {}
}

fn main() {}
