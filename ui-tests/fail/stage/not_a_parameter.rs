use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn charge(&mut self, names: std::vec::Vec<u8>) {
        drop(names);
    }
}

fn main() {}
