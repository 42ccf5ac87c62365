#[mmate::main(flags(wait = "Wait for the broker"))]
async fn main() {}
