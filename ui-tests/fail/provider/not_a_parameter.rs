use mmate::provider;

pub struct Orders;

#[provider]
async fn orders(url: std::string::String) -> Orders {
    drop(url);
    Orders
}

fn main() {}
