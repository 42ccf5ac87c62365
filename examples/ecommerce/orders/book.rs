//! The order book: where every order stands.
//!
//! Messages come at least once, so every step can be taken twice: the second time it changes
//! nothing and gives the same answer, and the handler publishes the same messages again, under the
//! same ids. A step that comes too late gives none.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mmate::prelude::*;
use tokio::sync::watch;

use super::OrderError;
use crate::contracts::{
    Item, OrderCompleted, OrderRefused, OrderStatus, PlaceOrder, ReleaseStock, Service, TakePayment,
};

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Stock is asked for.
    Placed,
    /// Stock is set aside, the money is asked for.
    Paying,
    /// Sold.
    Completed { payment_id: String },
    /// The money was refused, the stock is on its way back.
    Releasing { reason: String },
    /// Ended without a sale.
    Refused { by: Service, reason: String },
}

impl OrderState {
    /// Its name for others.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paying => "paying",
            Self::Completed { .. } => "completed",
            Self::Releasing { .. } => "releasing",
            Self::Refused { .. } => "refused",
        }
    }
}

/// An order as the orders service knows it.
#[derive(Clone, Debug)]
pub struct Order {
    pub items: Vec<Item>,
    pub total: Decimal,
    pub state: OrderState,
    card: String,
    /// The message that placed it, which may come again; any other one is a repetition.
    placed_by: String,
}

/// All orders.
#[derive(Debug, Default)]
pub struct OrderBook {
    entries: Mutex<Entries>,
    repeated: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Entries {
    orders: BTreeMap<String, Order>,
    /// Messages that asked for an order that was there already.
    repetitions: Vec<String>,
}

impl OrderBook {
    /// Writes down a new order with what was found about it: its price, or why it is refused.
    pub fn open(
        &self,
        message_id: &str,
        command: PlaceOrder,
        judged: &Result<Decimal, Refusal>,
    ) -> Result<(), OrderError> {
        let mut entries = self.entries();
        match entries.orders.get(&command.order_id) {
            Some(known) if known.placed_by == message_id => return Ok(()),
            Some(_) => {
                if !entries.repetitions.iter().any(|known| known == message_id) {
                    entries.repetitions.push(message_id.to_owned());
                }
                self.repeated.send_replace(entries.repetitions.len());
                return Err(OrderError::Repeated(command.order_id));
            }
            None => {}
        }
        let state = match judged {
            Ok(_) => OrderState::Placed,
            Err(refusal) => {
                let reason = refusal.message.clone();
                OrderState::Refused { by: Service::Orders, reason }
            }
        };
        let order = Order {
            items: command.items,
            total: *judged.as_ref().unwrap_or(&Decimal::ZERO),
            state,
            card: command.card,
            placed_by: message_id.to_owned(),
        };
        entries.orders.insert(command.order_id, order);
        Ok(())
    }

    /// The stock is there: what is to be paid.
    pub fn pay(&self, order_id: &str) -> Result<Option<TakePayment>, OrderError> {
        self.step(order_id, |order| {
            if order.state == OrderState::Placed {
                order.state = OrderState::Paying;
            }
            let due = order.state == OrderState::Paying;
            due.then(|| TakePayment {
                order_id: order_id.to_owned(),
                card: order.card.clone(),
                amount: order.total,
            })
        })
    }

    /// The money is there: sold.
    pub fn complete(
        &self,
        order_id: &str,
        payment_id: &str,
    ) -> Result<Option<OrderCompleted>, OrderError> {
        self.step(order_id, |order| {
            let done = OrderState::Completed { payment_id: payment_id.to_owned() };
            if order.state == OrderState::Paying {
                order.state = done.clone();
            }
            (order.state == done).then(|| OrderCompleted {
                order_id: order_id.to_owned(),
                total: order.total,
                payment_id: payment_id.to_owned(),
            })
        })
    }

    /// The money was refused: the stock has to go back first.
    pub fn undo(&self, order_id: &str, reason: &str) -> Result<Option<ReleaseStock>, OrderError> {
        self.step(order_id, |order| {
            if order.state == OrderState::Paying {
                order.state = OrderState::Releasing { reason: reason.to_owned() };
            }
            let undoing = matches!(order.state, OrderState::Releasing { .. });
            undoing.then(|| ReleaseStock { order_id: order_id.to_owned() })
        })
    }

    /// The stock was refused, or it is back after the money was: the end.
    pub fn refuse(
        &self,
        order_id: &str,
        stock_refused: Option<&str>,
    ) -> Result<Option<OrderRefused>, OrderError> {
        self.step(order_id, |order| {
            match (&order.state, stock_refused) {
                (OrderState::Placed, Some(reason)) => {
                    let reason = reason.to_owned();
                    order.state = OrderState::Refused { by: Service::Inventory, reason };
                }
                (OrderState::Releasing { reason }, None) => {
                    let reason = reason.clone();
                    order.state = OrderState::Refused { by: Service::Payment, reason };
                }
                _ => {}
            }
            let OrderState::Refused { by, reason } = &order.state else { return None };
            let (order_id, reason) = (order_id.to_owned(), reason.clone());
            Some(OrderRefused { order_id, by: *by, reason })
        })
    }

    /// Where an order stands.
    pub fn find(&self, order_id: &str) -> Result<OrderStatus, OrderError> {
        let entries = self.entries();
        let unknown = || OrderError::NotFound(order_id.to_owned());
        let order = entries.orders.get(order_id).ok_or_else(unknown)?;
        let state = order.state.name().to_owned();
        Ok(OrderStatus { order_id: order_id.to_owned(), state, total: order.total })
    }

    /// All orders, by id.
    pub fn orders(&self) -> BTreeMap<String, Order> {
        self.entries().orders.clone()
    }

    /// The ids of messages that asked for an order that was there already.
    pub fn repetitions(&self) -> Vec<String> {
        self.entries().repetitions.clone()
    }

    /// Changes with every repetition.
    pub fn repeated(&self) -> watch::Receiver<usize> {
        self.repeated.subscribe()
    }

    fn step<T>(
        &self,
        order_id: &str,
        step: impl FnOnce(&mut Order) -> Option<T>,
    ) -> Result<Option<T>, OrderError> {
        let mut entries = self.entries();
        let unknown = || OrderError::Unknown(order_id.to_owned());
        entries.orders.get_mut(order_id).map(step).ok_or_else(unknown)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
