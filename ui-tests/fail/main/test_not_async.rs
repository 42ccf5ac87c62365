#[mmate::test]
fn an_order_is_placed() {}

fn main() {}
