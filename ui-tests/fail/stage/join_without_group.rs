use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(join = checks)]
    async fn judge(&mut self) {}
}

fn main() {}
