use mmate::handler::HandlerResult as Result;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(join = checks, parallel = checks)]
    async fn credit(&self) -> Result<u32> {
        Ok(1)
    }

    #[stage(parallel = checks)]
    async fn customs(&self) -> Result<String> {
        Ok(self.order_id.clone())
    }

    #[stage(parallel = checks)]
    async fn third(&self) -> Result<u32> {
        Ok(3)
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: u32, _: String, _: u32) {}
}

fn main() {}
