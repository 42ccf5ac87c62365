//! Expansions under the strictest lints: nothing that a macro wrote may warn.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications
)]
#![deny(
    rust_2018_idioms,
    single_use_lifetimes,
    trivial_casts,
    let_underscore_drop,
    non_camel_case_types
)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery, clippy::allow_attributes)]
#![forbid(unsafe_code)]

use mmate::handler::{Context, HandlerResult, State};
use mmate::workflow::{Ended, StageKey};
use mmate::{MessageError, handler, message, payload, provider, workflow};

/// Asks for an order.
#[message(command, service = "orders", reply = OrderPlaced, key = customer_id)]
pub struct CreateOrder {
    /// Who wants it.
    pub customer_id: String,
    /// What for.
    pub note: Option<OrderNote>,
}

/// The answer.
#[message(reply)]
pub struct OrderPlaced {
    /// Its number.
    pub order_id: String,
}

/// Nobody in this program makes or reads one.
#[message(event, key = order_id)]
struct OrderCreated {
    order_id: String,
}

/// A note.
#[payload]
pub struct OrderNote {
    /// Its text.
    pub text: String,
}

/// All orders.
#[derive(Debug)]
pub struct Orders;

#[provider]
async fn orders() -> HandlerResult<Orders> {
    Ok(Orders)
}

/// What may go wrong.
#[derive(Debug, MessageError)]
pub enum OrderError {
    /// Away for a moment.
    #[class(transient)]
    Warehouse,
    /// Something else.
    Other(std::io::Error),
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

/// Places orders.
///
/// # Errors
/// Never.
#[handler(timeout = "30s")]
pub async fn create_order(
    command: CreateOrder,
    orders: State<Orders>,
) -> HandlerResult<OrderPlaced> {
    drop(orders);
    Ok(OrderPlaced { order_id: command.customer_id })
}

#[handler]
async fn confirm(event: OrderCreated, context: Context) -> Result<(), OrderError> {
    drop((event, context));
    Err(OrderError::Warehouse)
}

/// An order on its way.
#[payload]
pub struct OrderFlow {
    /// The order.
    pub order_id: String,
    parcels: u32,
}

/// Takes an order to its end.
#[workflow(timeout = "10m", complete)]
impl OrderFlow {
    /// Changes nothing, waits for nothing and cannot fail.
    ///
    /// # Errors
    /// Never.
    #[stage]
    pub async fn validate(&mut self) -> HandlerResult {
        Ok(())
    }

    #[stage(compensate = release)]
    async fn reserve(
        &mut self,
        orders: State<Orders>,
        key: StageKey,
    ) -> HandlerResult<(), OrderError> {
        drop((orders, key));
        Err(OrderError::Warehouse)
    }

    #[stage(compensate = release)]
    async fn reserve_again(&mut self, orders: State<Orders>) {
        drop(orders);
    }

    #[stage(parallel = checks)]
    async fn credit(&self) -> HandlerResult<u32> {
        Ok(1)
    }

    #[stage(parallel = checks, when = has_more)]
    async fn customs(&self, context: Context) -> HandlerResult<OrderNote> {
        drop(context);
        Ok(OrderNote { text: self.order_id.clone() })
    }

    #[stage(join = checks)]
    async fn judge(&mut self, credit: u32, customs: Option<OrderNote>) {
        self.parcels = credit + u32::from(customs.is_some());
    }

    #[stage(repeat = has_more, delay = "1h")]
    async fn pack(&mut self) {
        self.parcels -= 1;
    }

    #[stage(wait_for = OrderCreated, key = order_id)]
    async fn created(&mut self, event: OrderCreated) {
        self.order_id = event.order_id;
    }

    #[stage(reply = placed, irreversible, within = "1m")]
    async fn place(&self) -> HandlerResult<CreateOrder> {
        Ok(CreateOrder { customer_id: self.order_id.clone(), note: None })
    }

    async fn placed(&mut self, _: OrderPlaced) {}

    /// Changes nothing and cannot fail.
    ///
    /// # Errors
    /// Never.
    #[stage(ended = ended, irreversible)]
    pub async fn again(&self) -> HandlerResult<Self> {
        Ok(self.clone())
    }

    /// Changes nothing and cannot fail.
    pub async fn ended(&mut self, ended: Ended<Self>) {
        drop(ended);
    }

    async fn release(&mut self, orders: State<Orders>) -> HandlerResult {
        drop(orders);
        Ok(())
    }

    const fn has_more(&self) -> bool {
        self.parcels > 0
    }
}

/// Starts.
#[mmate::main]
async fn main() {}
