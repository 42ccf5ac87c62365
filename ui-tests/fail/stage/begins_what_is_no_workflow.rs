use mmate::handler::HandlerResult as Result;
use mmate::workflow::Ended;
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
pub struct Parcel {
    pub order_id: String,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(ended = shipped)]
    async fn ship(&self) -> Result<Parcel> {
        Ok(Parcel { order_id: self.order_id.clone() })
    }

    async fn shipped(&mut self, ended: Ended<ShippingFlow>) {
        self.order_id = ended.state.order_id;
    }
}

fn main() {}
