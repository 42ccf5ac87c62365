//! The orders of the file, and how each is sent: as a message where it is one, else as the bytes
//! that somebody who knows no contract would send.

use mmate::contract::Message;
use mmate::contract::address::Address;
use mmate::prelude::*;
use mmate::transport::{Outgoing, Properties, Transport};
use serde_json::{Value, json};

use crate::contracts::PlaceOrder;

/// One order per line, good and bad.
const FILE: &str = include_str!("orders.jsonl");

/// A line of the file, on its way.
#[derive(Clone, Debug)]
pub struct Line {
    /// The id of its message; what follows from it carries this id as its correlation id.
    pub id: String,
    /// From 1.
    pub number: usize,
    pub content: Content,
}

/// What stands in a line.
#[derive(Clone, Debug)]
pub enum Content {
    /// An order, if perhaps one that breaks a rule of the schema.
    Order(PlaceOrder),
    /// JSON, and no order.
    OtherJson(Value),
    /// No JSON at all.
    NoJson(&'static str),
}

/// A name for this run, so that messages of earlier runs are not taken for its own.
pub fn run_id() -> String {
    format!("{:x}", Timestamp::now().as_millisecond())
}

/// All lines. Order ids are made unique by the run.
pub fn lines(run: &str) -> Vec<Line> {
    let line = |(index, text): (usize, &'static str)| {
        let number = index + 1;
        Line { id: format!("{run}-line{number}"), number, content: Content::of(text, run) }
    };
    FILE.lines().enumerate().map(line).collect()
}

impl Content {
    fn of(text: &'static str, run: &str) -> Self {
        if let Ok(mut order) = serde_json::from_str::<PlaceOrder>(text) {
            order.order_id = format!("{run}-{}", order.order_id);
            return Self::Order(order);
        }
        serde_json::from_str(text).map_or(Self::NoJson(text), Self::OtherJson)
    }

    /// Why the line must be parked, if it must: what is expected is said here and compared with
    /// what happened.
    pub fn must_be_parked(&self) -> Option<&'static str> {
        match self {
            Self::NoJson(_) => Some("not_json"),
            Self::OtherJson(_) => Some("bad_payload"),
            Self::Order(order) if order.items.is_empty() => Some("schema_violation"),
            Self::Order(order) if order.items.iter().any(|item| item.quantity == 0) => {
                Some("schema_violation")
            }
            Self::Order(order) if order.card == "tok_unreachable" => Some("retries_exhausted"),
            Self::Order(_) => None,
        }
    }
}

impl Line {
    /// Sends the line to the orders service.
    pub async fn send(&self, publisher: &Publisher, transport: &dyn Transport) -> Result {
        let body = match &self.content {
            Content::Order(order) => {
                publisher.send(order.clone()).id(&self.id).await?;
                return Ok(());
            }
            Content::OtherJson(payload) => json!({
                "id": self.id,
                "type": PlaceOrder::INFO.name,
                "timestamp": Timestamp::now().to_string(),
                "payload": payload,
            })
            .to_string(),
            Content::NoJson(text) => (*text).to_owned(),
        };
        let mut properties = Properties::default();
        properties.message_id = Some(self.id.clone());
        let address = Address::of(PlaceOrder::INFO, "shop", None);
        transport.publish(Outgoing::new(address, properties, body)).await?;
        Ok(())
    }
}
