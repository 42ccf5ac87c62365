#[mmate::main(crates())]
async fn main() {}
