use mmate::workflow;

#[workflow]
trait Validates {
    #[stage]
    async fn validate(&mut self);
}

fn main() {}
