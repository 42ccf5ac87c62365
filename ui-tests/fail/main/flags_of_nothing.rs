#[mmate::main(flags())]
async fn main() {}
