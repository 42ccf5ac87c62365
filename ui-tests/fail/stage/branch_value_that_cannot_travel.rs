use mmate::handler::HandlerResult as Result;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

pub struct Score;

#[workflow]
impl OrderFlow {
    #[stage(parallel = checks)]
    async fn credit(&self) -> Result<Score> {
        Ok(Score)
    }

    #[stage(parallel = checks)]
    async fn customs(&self) -> Result<String> {
        Ok(self.order_id.clone())
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: Score, _: String) {}
}

fn main() {}
