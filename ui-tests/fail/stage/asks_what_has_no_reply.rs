use mmate::handler::HandlerResult as Result;
use mmate::{message, payload, workflow};

#[message(reply)]
pub struct StockReserved {
    pub shelf: u32,
}

#[message(command)]
pub struct Sell {
    pub order_id: String,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(reply = reserved)]
    async fn reserve(&self) -> Result<Sell> {
        Ok(Sell { order_id: self.order_id.clone() })
    }

    async fn reserved(&mut self, reply: StockReserved) {
        self.order_id = reply.shelf.to_string();
    }
}

fn main() {}
