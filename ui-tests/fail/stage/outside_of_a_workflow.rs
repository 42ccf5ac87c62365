use mmate::stage;

pub struct OrderFlow;

impl OrderFlow {
    #[stage(timeout = "20s")]
    pub async fn validate(&mut self) {}
}

fn main() {}
