use mmate::workflow::StageKey;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(key: StageKey) {
        drop(key);
    }
}

fn main() {}
