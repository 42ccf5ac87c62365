use mmate::handler::HandlerResult as Result;
use mmate::{message, payload, workflow};

#[message(event, key = order_id)]
pub struct PaymentReceived {
    pub order_id: String,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(parallel = checks, wait_for = PaymentReceived, key = order_id)]
    async fn paid(&self, event: PaymentReceived) -> Result<String> {
        Ok(event.order_id)
    }

    #[stage(parallel = checks)]
    async fn credit(&self) -> Result<u32> {
        Ok(1)
    }

    #[stage(join = checks)]
    async fn judge(&mut self, _: String, _: u32) {}
}

fn main() {}
