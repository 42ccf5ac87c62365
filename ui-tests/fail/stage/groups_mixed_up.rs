use mmate::handler::HandlerResult as Result;
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

    #[stage(parallel = others)]
    async fn third(&self) -> Result<u32> {
        Ok(3)
    }

    #[stage(parallel = others)]
    async fn fourth(&self) -> Result<u32> {
        Ok(4)
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: u32, _: String) {}

    #[stage(join = others)]
    async fn judge_others(&mut self, _: u32, _: u32) {}
}

fn main() {}
