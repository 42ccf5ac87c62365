use mmate::{payload, workflow};

#[payload]
pub struct Flow<T> {
    pub value: T,
}

#[workflow]
impl<T> Flow<T> {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
