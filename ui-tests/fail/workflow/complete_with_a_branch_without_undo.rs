use mmate::handler::{HandlerResult as Result, State};
use mmate::workflow::StageKey;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

pub struct Bank;

#[workflow(complete)]
impl OrderFlow {
    #[stage(parallel = checks)]
    async fn credit(&self) -> Result<bool> {
        Ok(true)
    }

    #[stage(parallel = checks)]
    async fn reserve(&self, bank: State<Bank>, key: StageKey) -> Result<u32> {
        drop((bank, key));
        Ok(1)
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: bool, _: u32) {}
}

fn main() {}
