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

    #[stage(join = checks)]
    async fn judge(&mut self, _: u32, _: String) {}

    #[stage(parallel = checks)]
    async fn late(&self) -> Result<u32> {
        Ok(2)
    }
}

fn main() {}
