#[mmate::main]
pub struct Service;

fn main() {}
