use mmate::{message, payload, workflow};

#[message(event, key = order_id)]
pub struct PaymentReceived {
    pub order_id: String,
}

#[message(event, key = order_id)]
pub struct OrderPaid {
    pub order_id: String,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(wait_for = PaymentReceived, key = order_id)]
    async fn paid(&mut self, event: OrderPaid) {
        self.order_id = event.order_id;
    }
}

fn main() {}
