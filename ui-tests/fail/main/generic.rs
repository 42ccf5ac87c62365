#[mmate::main]
async fn main<T>() {}
