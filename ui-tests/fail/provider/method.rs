use mmate::provider;

pub struct Orders;

impl Orders {
    #[provider]
    fn orders(&self) -> Orders {
        Orders
    }
}

fn main() {}
