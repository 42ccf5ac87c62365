use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

use mmate::stage;

#[workflow]
impl OrderFlow {
    #[stage]
    pub const LIMIT: u32 = 3;

    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
