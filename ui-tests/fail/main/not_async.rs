#[mmate::main]
fn main() {}
