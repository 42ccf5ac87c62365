use mmate::handler::{HandlerResult as Result, State};
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

pub struct Payments;

#[workflow(complete)]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self, payments: State<Payments>) -> Result {
        drop(payments);
        Ok(())
    }

    #[stage]
    async fn ship(&mut self) -> Result {
        Ok(())
    }
}

fn main() {}
