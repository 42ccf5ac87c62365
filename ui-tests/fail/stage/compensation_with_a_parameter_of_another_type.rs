use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(compensate = refund)]
    async fn charge(&mut self) {}

    #[stage(compensate = refund)]
    async fn charge_again(&mut self) {}

    async fn refund(&mut self, names: std::vec::Vec<u8>) {
        drop(names);
    }
}

fn main() {}
