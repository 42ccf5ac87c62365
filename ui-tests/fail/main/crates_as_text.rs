#[mmate::main(crates = "orders")]
async fn main() {}
