#[mmate::main(flags = "dry_run")]
async fn main() {}
