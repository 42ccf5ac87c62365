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

    async fn refund(&mut self) {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
    }
}

fn main() {}
