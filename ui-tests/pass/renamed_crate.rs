//! The library under another name: every attribute finds it by `crate = ..`.

mod facade {
    pub use mmate as messaging;
}

use facade::messaging::handler::HandlerResult;

#[facade::messaging::message(event, key = order_id, crate = crate::facade::messaging)]
pub struct OrderCreated {
    pub order_id: String,
    pub note: Option<String>,
}

#[facade::messaging::payload(crate = crate::facade::messaging)]
pub struct OrderItem {
    pub product_id: String,
}

pub struct Orders;

#[facade::messaging::provider(crate = crate::facade::messaging)]
fn orders() -> Orders {
    Orders
}

#[derive(Debug, facade::messaging::MessageError)]
#[mmate(crate = crate::facade::messaging)]
#[class(permanent)]
pub struct OrderError;

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

#[facade::messaging::handler(crate = crate::facade::messaging)]
async fn on_created(event: OrderCreated) -> HandlerResult<(), OrderError> {
    let _ = event;
    Err(OrderError)
}

#[facade::messaging::payload(crate = crate::facade::messaging)]
pub struct OrderFlow {
    pub order_id: String,
}

#[facade::messaging::workflow(crate = crate::facade::messaging)]
impl OrderFlow {
    #[facade::messaging::stage(compensate = undo, when = holds)]
    async fn charge(&mut self, orders: facade::messaging::handler::State<Orders>) -> HandlerResult<(), OrderError> {
        let _ = orders;
        Err(OrderError)
    }

    #[stage(parallel = checks)]
    async fn left(&self) -> HandlerResult<u8> {
        Ok(1)
    }

    #[stage(parallel = checks)]
    async fn right(&self) -> HandlerResult<u8> {
        Ok(2)
    }

    #[stage(join = checks)]
    async fn both(&mut self, _: u8, _: u8) {}

    async fn undo(&mut self) {}

    fn holds(&self) -> bool {
        true
    }
}

#[facade::messaging::main(crate = crate::facade::messaging)]
async fn main() {}
