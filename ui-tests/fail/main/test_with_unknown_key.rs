#[mmate::test(worker_threads = 4)]
async fn an_order_is_placed() {}

fn main() {}
