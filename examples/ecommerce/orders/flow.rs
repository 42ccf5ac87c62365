//! The way of an order, from its acceptance to the parcel, and back if a stage fails.
//!
//! ```text
//! accept -> validate -> reserve_inventory -> charge -> ship -> notify -> complete
//! call_off <----------- release_inventory <- refund <- call_back
//! ```
//!
//! The stages share nothing but the state of the order: each may run in another process, and any of them may be killed
//! in the middle of one. What the outside world does for a stage it does under the stage's key, once.

use mmate::prelude::*;
use uuid::Uuid;

use super::catalogue::Catalogue;
use crate::contracts::{Item, OrderCompleted, OrderPlaced, OrderRefused};
use crate::world::{Bank, Carrier, Mailer, Warehouse};

/// An order on its way.
#[payload]
pub struct OrderFlow {
    pub order_id: String,
    pub customer_id: String,
    pub card: String,
    pub items: Vec<Item>,
    pub total: Decimal,
    /// The message that placed it, which may come again; any other one is a repetition.
    pub placed_by: String,
    pub payment_id: Option<String>,
    pub parcel_id: Option<String>,
}

/// The instance that an order is: who places it twice finds the first one.
pub fn instance_of(order_id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, order_id.as_bytes())
}

/// Takes an order from its acceptance to the parcel, or undoes it.
#[workflow(id = "order-processing", timeout = "10m", events)]
impl OrderFlow {
    /// Undone last, when everything else is: whoever was told of the order is told of its end.
    #[stage(compensate = call_off)]
    async fn accept(&mut self, publisher: Publisher) -> Result {
        let (order_id, items) = (self.order_id.clone(), self.items.clone());
        publisher.publish(OrderPlaced { order_id, items, total: self.total }).await?;
        Ok(())
    }

    /// Looks, and changes nothing.
    #[stage(irreversible)]
    async fn validate(&mut self, catalogue: State<Catalogue>) -> Result {
        Ok(catalogue.validate(&self.items)?)
    }

    #[stage(compensate = release_inventory, timeout = "2s")]
    async fn reserve_inventory(&mut self, warehouse: State<Warehouse>, key: StageKey) -> Result {
        Ok(warehouse.reserve(&key, &self.order_id, &self.items).await?)
    }

    /// The bank that does not answer is asked again, with the same key.
    #[stage(compensate = refund, timeout = "250ms",
            retry(attempts = 5, backoff = exponential("20ms", "200ms")))]
    async fn charge(&mut self, bank: State<Bank>, key: StageKey) -> Result {
        let payment = bank.charge(&key, &self.order_id, &self.card, self.total).await?;
        self.payment_id = Some(payment);
        Ok(())
    }

    #[stage(compensate = call_back, timeout = "500ms",
            retry(attempts = 3, backoff = exponential("20ms", "200ms")))]
    async fn ship(&mut self, carrier: State<Carrier>, key: StageKey) -> Result {
        self.parcel_id = Some(carrier.ship(&key, &self.order_id, &self.customer_id).await?);
        Ok(())
    }

    /// A customer who cannot be reached gets the parcel nonetheless.
    #[stage(continue_on_failure, irreversible, timeout = "2s")]
    async fn notify(&mut self, mailer: State<Mailer>, key: StageKey) -> Result {
        Ok(mailer.write(&key, &self.order_id, &self.customer_id).await?)
    }

    #[stage(irreversible)]
    async fn complete(&mut self, publisher: Publisher) -> Result {
        let parcel_id = self.parcel_id.clone().unwrap_or_default();
        let (order_id, total) = (self.order_id.clone(), self.total);
        publisher.publish(OrderCompleted { order_id, total, parcel_id }).await?;
        Ok(())
    }

    async fn call_off(&mut self, publisher: Publisher, stage: StageInfo) -> Result {
        let (order_id, reason) = (self.order_id.clone(), stage.failure.unwrap_or_default());
        publisher.publish(OrderRefused { order_id, reason }).await?;
        Ok(())
    }

    async fn release_inventory(&mut self, warehouse: State<Warehouse>, key: StageKey) -> Result {
        Ok(warehouse.release(&key, &self.order_id).await?)
    }

    /// By the key of the charge: after a bank that never answered there is no `payment_id`, and yet the money may be gone.
    async fn refund(&mut self, bank: State<Bank>, key: StageKey) -> Result {
        Ok(bank.refund(&key, &self.order_id).await?)
    }

    async fn call_back(&mut self, carrier: State<Carrier>, key: StageKey) -> Result {
        Ok(carrier.call_back(&key, &self.order_id).await?)
    }
}
