use mmate::payload;

#[payload]
fn order_item() {}

fn main() {}
