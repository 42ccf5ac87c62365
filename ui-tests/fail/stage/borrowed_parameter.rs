use mmate::workflow::StageKey;
use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self, key: &StageKey) {
        let _ = key;
    }
}

fn main() {}
