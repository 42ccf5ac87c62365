use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self) {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
    }
}

fn main() {}
