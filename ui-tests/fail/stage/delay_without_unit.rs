use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(delay = "tomorrow")]
    async fn charge(&mut self) {}
}

fn main() {}
