use mmate::{message, payload, workflow};

#[message(command, key = order_id)]
pub struct Pay {
    pub order_id: String,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(wait_for = Pay, key = order_id)]
    async fn paid(&mut self, event: Pay) {
        self.order_id = event.order_id;
    }
}

fn main() {}
