//! The order book: every order that was accepted is an instance of its workflow, and stands in the store of workflows.
//!
//! So there is one book for all processes, and it outlives them.

use std::sync::{Mutex, PoisonError};

use mmate::prelude::*;
use mmate::store::WorkflowStatus;
use mmate::workflow::InstanceView;

use super::OrderError;
use super::flow::{OrderFlow, instance_of};
use crate::contracts::OrderStatus;

/// All orders.
#[derive(Debug)]
pub struct OrderBook {
    workflows: Workflows,
    /// Messages to this process that asked for an order that was there already.
    repetitions: Mutex<Vec<String>>,
}

impl OrderBook {
    pub(super) const fn new(workflows: Workflows) -> Self {
        Self { workflows, repetitions: Mutex::new(Vec::new()) }
    }

    /// Opens an order, which is on its way from then on. The message that did so may come again, and changes nothing; any
    /// other one is told that the order is there.
    ///
    /// This is not the handler's own `Workflows`, with which an order would begin when the handler has succeeded: of two
    /// messages for one order that come at the same moment both would have been told yes. Here the store decides.
    pub async fn open(&self, order: OrderFlow, correlation_id: &str) -> Result<(), OrderError> {
        let (order_id, message_id) = (order.order_id.clone(), order.placed_by.clone());
        let start = self.workflows.start(order).id(instance_of(&order_id));
        start.correlation_id(correlation_id).await?;
        if self.look_up(&order_id).await?.1.placed_by == message_id {
            return Ok(());
        }
        let mut repetitions = self.repetitions.lock().unwrap_or_else(PoisonError::into_inner);
        if !repetitions.contains(&message_id) {
            repetitions.push(message_id);
        }
        drop(repetitions);
        Err(OrderError::Repeated(order_id))
    }

    /// Where an order stands.
    pub async fn find(&self, order_id: &str) -> Result<OrderStatus, OrderError> {
        let (view, order) = self.look_up(order_id).await?;
        let state = match view.instance.status {
            WorkflowStatus::Completed => "completed",
            WorkflowStatus::Compensating | WorkflowStatus::Stuck => "undoing",
            status if status.is_end() => "refused",
            _ => "processing",
        };
        let (order_id, state) = (order_id.to_owned(), state.to_owned());
        Ok(OrderStatus { order_id, state, total: order.total })
    }

    /// The ids of messages that asked for an order that was there already.
    pub fn repetitions(&self) -> Vec<String> {
        self.repetitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_up(&self, order_id: &str) -> Result<(InstanceView, OrderFlow), OrderError> {
        let found = self.workflows.get(instance_of(order_id)).await?;
        let view = found.ok_or_else(|| OrderError::NotFound(order_id.to_owned()))?;
        let order = serde_json::from_str(view.state.get()).map_err(OrderError::Unreadable)?;
        Ok((view, order))
    }
}
