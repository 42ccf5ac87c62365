use mmate::handler::HandlerResult as Result;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(compensate = refund)]
    async fn charge(&mut self) -> Result {
        Ok(())
    }

    fn refund(&mut self) {}
}

fn main() {}
