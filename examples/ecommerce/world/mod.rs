//! The outside world: warehouse, bank, carrier and mail, none of which is the shop's own.
//!
//! It is slow, at times away, at times silent after it did what it was asked. It does everything once per key: asked again
//! it says what it said. What is undone under a key stays undone, also for a request under that key that comes later.
//!
//! The services meet it as four clients. Behind them it is either in this process, or at the other end of a connection:
//! then it outlives them.

mod bank;
mod books;
mod carrier;
mod remote;
mod warehouse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mmate::prelude::*;

pub use books::{Books, World};
#[cfg(test)]
pub use carrier::Parcels;
pub use remote::routes;
pub use warehouse::Reservation;

use crate::contracts::Item;

/// How long the world takes for anything, where it is in this process.
const LATENCY: Duration = Duration::from_millis(2);

/// What is asked of the world, and under which key.
#[payload]
pub struct Request {
    pub key: String,
    pub order_id: String,
    pub what: Errand,
}

/// What the world may be asked.
#[payload]
pub enum Errand {
    Reserve { items: Vec<Item> },
    Release,
    Charge { card: String, amount: Decimal },
    Refund,
    Ship { customer_id: String },
    CallBack,
    Write { customer_id: String },
}

/// What the world says, if it says anything.
#[payload]
#[derive(PartialEq, Eq)]
pub enum Answer {
    /// Done, under this number of its own.
    Done(String),
    /// It is not possible, and will not be tomorrow.
    Refused(String),
    /// Nobody is there. Nothing was done.
    Away,
}

/// Why the world did not do something.
#[derive(Debug, thiserror::Error, MessageError)]
pub enum WorldError {
    #[error("{0}")]
    #[class(permanent)]
    Refused(String),
    #[error("{0} cannot be reached")]
    #[class(transient)]
    Away(&'static str),
}

/// The way to the world.
#[derive(Clone, Debug)]
pub enum Outside {
    /// In this process.
    Here(Arc<World>),
    /// At an address.
    There(SocketAddr),
}

impl Outside {
    /// Returns when the world says something, which it does not always.
    ///
    /// Where the answer is lost nobody knows whether it was done, and an error would say that it was not. So this waits on,
    /// and the time limit of the stage ends it: what timed out counts as unknown, and is undone if the stage is not to be.
    async fn ask(&self, who: &'static str, request: Request) -> Result<String, WorldError> {
        let answer = match self {
            Self::Here(world) => world.answer(request).await,
            Self::There(address) => remote::ask(*address, &request).await.ok(),
        };
        match answer {
            Some(Answer::Done(number)) => Ok(number),
            Some(Answer::Refused(why)) => Err(WorldError::Refused(why)),
            Some(Answer::Away) => Err(WorldError::Away(who)),
            None => std::future::pending().await,
        }
    }
}

/// The world of this process, which services elsewhere do not use.
#[provider]
async fn world() -> World {
    World::new(LATENCY)
}

/// Whether the world is another process.
pub fn is_elsewhere(config: &Config) -> Result<bool> {
    Ok(config.find::<SocketAddr>("shop.world")?.is_some())
}

#[provider]
async fn outside(config: Config, world: State<World>) -> Result<Outside> {
    let address: Option<SocketAddr> = config.find("shop.world")?;
    Ok(address.map_or_else(|| Outside::Here(world.shared()), Outside::There))
}

macro_rules! clients {
    ($($(#[$doc:meta])* $client:ident called $who:literal by $provider:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $client(Outside);

        #[provider]
        async fn $provider(outside: State<Outside>) -> $client {
            $client((*outside).clone())
        }

        impl $client {
            async fn ask(&self, key: &StageKey, order_id: &str, what: Errand) -> Result<String, WorldError> {
                let (key, order_id) = (key.to_string(), order_id.to_owned());
                self.0.ask($who, Request { key, order_id, what }).await
            }
        }
    )*};
}

clients! {
    /// Sets goods aside.
    Warehouse called "the warehouse" by warehouse_client;
    /// Takes money, and gives it back.
    Bank called "the bank" by bank_client;
    /// Brings parcels.
    Carrier called "the carrier" by carrier_client;
    /// Writes to customers.
    Mailer called "the mail" by mailer_client;
}

impl Warehouse {
    /// Sets all items of an order aside, or none.
    pub async fn reserve(
        &self,
        key: &StageKey,
        order_id: &str,
        items: &[Item],
    ) -> Result<(), WorldError> {
        let items = items.to_vec();
        self.ask(key, order_id, Errand::Reserve { items }).await.map(drop)
    }

    /// Puts back what is set aside under the key, if anything is.
    pub async fn release(&self, key: &StageKey, order_id: &str) -> Result<(), WorldError> {
        self.ask(key, order_id, Errand::Release).await.map(drop)
    }
}

impl Bank {
    /// Charges a card, and says the number of the payment.
    pub async fn charge(
        &self,
        key: &StageKey,
        order_id: &str,
        card: &str,
        amount: Decimal,
    ) -> Result<String, WorldError> {
        let card = card.to_owned();
        self.ask(key, order_id, Errand::Charge { card, amount }).await
    }

    /// Gives back what was charged under the key, if anything was.
    pub async fn refund(&self, key: &StageKey, order_id: &str) -> Result<(), WorldError> {
        self.ask(key, order_id, Errand::Refund).await.map(drop)
    }
}

impl Carrier {
    /// Hands a parcel over, and says its number.
    pub async fn ship(
        &self,
        key: &StageKey,
        order_id: &str,
        customer_id: &str,
    ) -> Result<String, WorldError> {
        let customer_id = customer_id.to_owned();
        self.ask(key, order_id, Errand::Ship { customer_id }).await
    }

    /// Has the parcel brought back that was handed over under the key, if one was.
    pub async fn call_back(&self, key: &StageKey, order_id: &str) -> Result<(), WorldError> {
        self.ask(key, order_id, Errand::CallBack).await.map(drop)
    }
}

impl Mailer {
    /// Tells a customer that the parcel is on its way.
    pub async fn write(
        &self,
        key: &StageKey,
        order_id: &str,
        customer_id: &str,
    ) -> Result<(), WorldError> {
        let customer_id = customer_id.to_owned();
        self.ask(key, order_id, Errand::Write { customer_id }).await.map(drop)
    }
}
