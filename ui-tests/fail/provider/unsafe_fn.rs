use mmate::provider;

pub struct Orders;

#[provider]
unsafe fn orders() -> Orders {
    Orders
}

fn main() {}
