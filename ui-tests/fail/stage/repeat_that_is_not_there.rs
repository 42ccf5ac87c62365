use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(repeat = has_more)]
    async fn pack(&mut self) {}
}

fn main() {}
