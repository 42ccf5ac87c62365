#[mmate::stage]
pub async fn validate() {}

fn main() {}
