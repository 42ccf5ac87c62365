use mmate::handler::HandlerResult as Result;
use mmate::workflow::StageKey;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(parallel = checks)]
    async fn credit(&self) -> Result<u32> {
        Ok(1)
    }

    #[stage(parallel = checks)]
    async fn customs(&self) -> Result<String> {
        Ok(self.order_id.clone())
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: StageKey, _: u32, _: String) {}
}

fn main() {}
