#[mmate::test]
pub struct Orders;

fn main() {}
