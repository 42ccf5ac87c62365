use mmate::workflow;

pub struct Flow<'a> {
    pub order_id: &'a str,
}

#[workflow]
impl Flow<'_> {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
