use mmate::provider;

pub struct Orders;

#[provider]
fn orders(url: &str) -> Orders {
    let _ = url;
    Orders
}

fn main() {}
