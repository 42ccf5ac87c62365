use mmate::workflow;

#[workflow(id = "orders")]
async fn validate() {}

fn main() {}
