use mmate::provider;

pub struct Orders;

#[provider(name = "orders")]
fn orders() -> Orders {
    Orders
}

fn main() {}
