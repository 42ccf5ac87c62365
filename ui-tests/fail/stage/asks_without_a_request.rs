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
    #[stage(reply = reserved)]
    async fn reserve(&self) {}

    async fn reserved(&mut self, reply: StockReserved) {
        self.order_id = reply.shelf.to_string();
    }
}

fn main() {}
