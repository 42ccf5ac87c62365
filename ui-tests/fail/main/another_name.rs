#[mmate::main]
async fn start() {}

fn main() {}
