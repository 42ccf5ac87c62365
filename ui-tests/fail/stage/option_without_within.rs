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
    #[stage(wait_for = PaymentReceived, key = order_id)]
    async fn paid(&mut self, event: Option<PaymentReceived>) {
        self.order_id = event.map(|event| event.order_id).unwrap_or_default();
    }
}

fn main() {}
