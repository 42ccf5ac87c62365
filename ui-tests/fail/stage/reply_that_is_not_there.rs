use mmate::handler::HandlerResult as Result;
use mmate::{message, payload, workflow};

#[message(command, reply = StockReserved)]
pub struct ReserveStock {
    pub order_id: String,
}

#[message(reply)]
pub struct StockReserved {
    pub shelf: u32,
}

#[payload]
pub struct OrderFlow {
    pub order_id: String,
}

#[workflow]
impl OrderFlow {
    #[stage(reply = took_it)]
    async fn reserve(&self) -> Result<ReserveStock> {
        Ok(ReserveStock { order_id: self.order_id.clone() })
    }

    async fn reserved(&mut self, reply: StockReserved) {
        self.order_id = reply.shelf.to_string();
    }
}

fn main() {}
