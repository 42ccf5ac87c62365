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
    #[stage(parallel = checks)]
    async fn credit(&self) -> Result<u32> {
        Ok(1)
    }

    #[stage(parallel = checks)]
    async fn customs(&self) -> Result<u32> {
        Ok(2)
    }

    #[stage(join = checks, reply = reserved)]
    async fn reserve(&self, _: u32, _: u32) -> Result<ReserveStock> {
        Ok(ReserveStock { order_id: self.order_id.clone() })
    }

    async fn reserved(&mut self, reply: StockReserved) {
        self.order_id = reply.shelf.to_string();
    }
}

fn main() {}
