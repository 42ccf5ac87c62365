use mmate::provider;

#[provider]
async fn orders() {}

fn main() {}
