use mmate::handler::HandlerResult as Result;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self) -> Result<u32> {
        Ok(1)
    }
}

fn main() {}
