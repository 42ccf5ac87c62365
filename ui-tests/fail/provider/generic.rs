use mmate::provider;

pub struct Orders;

#[provider]
fn orders<T>() -> Orders {
    Orders
}

fn main() {}
