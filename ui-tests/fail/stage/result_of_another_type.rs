use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self) -> std::string::String {
        self.order_id.clone()
    }
}

fn main() {}
