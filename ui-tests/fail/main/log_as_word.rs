#[mmate::main(log = warn)]
async fn main() {}
