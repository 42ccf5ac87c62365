use mmate::{handler, message};

#[message(event)]
pub struct OrderCreated {
    pub order_id: String,
}

#[handler]
async fn on_created(event: OrderCreated) -> Result<(), u32> {
    let _ = event;
    Ok(())
}

fn main() {}
