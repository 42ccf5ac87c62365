use std::rc::Rc;

use mmate::provider;

pub struct Orders;

#[provider]
async fn orders() -> Orders {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
    Orders
}

fn main() {}
