use mmate::{payload, workflow};

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(when = is_abrod)]
    async fn customs(&mut self) {}

    pub fn is_abroad(&self) -> bool {
        true
    }
}

fn main() {}
