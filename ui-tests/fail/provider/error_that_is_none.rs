use mmate::provider;

pub struct Orders;

#[provider]
fn orders() -> Result<Orders, u32> {
    Ok(Orders)
}

fn main() {}
