use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(when = is_abroad)]
    async fn customs(&mut self) {}

    fn is_abroad(&mut self) -> bool {
        true
    }
}

fn main() {}
