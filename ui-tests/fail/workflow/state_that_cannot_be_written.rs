use mmate::workflow;

pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
