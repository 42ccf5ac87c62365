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
    #[stage(wait_for = PaymentReceived, key = self.order_id)]
    async fn paid(&mut self, event: PaymentReceived) {
        self.order_id = event.order_id;
    }
}

fn main() {}
