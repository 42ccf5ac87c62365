use mmate::provider;

#[provider]
fn orders() -> impl Send {}

fn main() {}
