use mmate::workflow;

trait Flow {}

#[workflow]
impl dyn Flow {
    #[stage]
    async fn validate(&mut self) {}
}

fn main() {}
