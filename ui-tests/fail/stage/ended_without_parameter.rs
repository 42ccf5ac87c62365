use mmate::handler::HandlerResult as Result;
use mmate::{payload, workflow};

#[payload]
pub struct ShippingFlow {
    pub order_id: String,
}

#[workflow]
impl ShippingFlow {
    #[stage]
    async fn go(&mut self) {}
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(ended = shipped)]
    async fn ship(&self) -> Result<ShippingFlow> {
        Ok(ShippingFlow { order_id: self.order_id.clone() })
    }

    async fn shipped(&mut self) {}
}

fn main() {}
