use mmate::provider;

#[provider]
pub struct Orders;

fn main() {}
