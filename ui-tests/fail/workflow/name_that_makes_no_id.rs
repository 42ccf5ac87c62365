use mmate::{payload, workflow};

#[payload]
pub struct Größe {
    pub order_id: String,
}

#[workflow]
impl Größe {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
