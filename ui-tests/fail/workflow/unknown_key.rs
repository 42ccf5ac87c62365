use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow(timeuot = "10m")]
impl OrderFlow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
