//! The orders of the file, and how each is sent: by HTTP, or as a message where it is one, else as the bytes
//! that somebody who knows no contract would send.

use mmate::contract::address::Address;
use mmate::contract::{Message, Text};
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
    pub way: Way,
}

/// How a line is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a message that nobody waits for.
    Message,
    /// By HTTP, one after the other.
    Http,
    /// By HTTP, with all others of the rush at a time.
    Rush,
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
        let content = Content::of(text, run);
        let way = Way::of(number, &content);
        Line { id: format!("{run}-line{number}"), number, content, way }
    };
    FILE.lines().enumerate().map(line).collect()
}

impl Way {
    /// Every third line goes by HTTP, whatever is in it, and so do all who buy on credit.
    fn of(number: usize, content: &Content) -> Self {
        match content {
            Content::Order(order) if order.customer_id == "charles" => Self::Rush,
            _ if number.is_multiple_of(3) => Self::Http,
            _ => Self::Message,
        }
    }
}

/// The stage at which an order must fail, if it must and is accepted.
pub fn must_fail_at(order: &PlaceOrder) -> Option<&'static str> {
    if order.items.iter().any(|item| item.quantity > 1_000) {
        return Some("validate");
    }
    if order.items.iter().any(|item| item.product_id == "piano") {
        return Some("reserve_inventory");
    }
    match order.card.as_str() {
        "tok_declined" | "tok_expired" | "tok_unreachable" | "tok_silent" => Some("charge"),
        _ if matches!(order.customer_id.as_str(), "nemo" | "amelia") => Some("ship"),
        _ => None,
    }
}

impl Content {
    fn of(text: &'static str, run: &str) -> Self {
        if let Ok(mut order) = serde_json::from_str::<PlaceOrder>(text) {
            order.order_id = format!("{run}-{}", order.order_id);
            return Self::Order(order);
        }
        serde_json::from_str(text).map_or(Self::NoJson(text), Self::OtherJson)
    }

    /// What is wrong with it as an order, if anything is.
    fn mistake(&self) -> Option<&'static str> {
        match self {
            Self::NoJson(_) => Some("not_json"),
            Self::OtherJson(_) => Some("bad_payload"),
            Self::Order(order) if order.items.is_empty() => Some("schema_violation"),
            Self::Order(order) if order.items.iter().any(|item| item.quantity == 0) => {
                Some("schema_violation")
            }
            Self::Order(_) => None,
        }
    }

    /// What a client posts.
    pub fn body(&self) -> Result<String> {
        Ok(match self {
            Self::Order(order) => serde_json::to_string(order)?,
            Self::OtherJson(value) => value.to_string(),
            Self::NoJson(text) => (*text).to_owned(),
        })
    }
}

impl Line {
    /// The order's id, or the line's.
    pub fn name(&self) -> &str {
        match &self.content {
            Content::Order(order) => &order.order_id,
            _ => &self.id,
        }
    }

    /// Why the line must be parked, if it must: what is expected is said here and compared with
    /// what happened. What is posted and wrong does not come so far.
    pub fn must_be_parked(&self) -> Option<&'static str> {
        self.content.mistake().filter(|_| self.way == Way::Message)
    }

    /// The stage at which the order must fail, if it must and is accepted.
    pub fn must_fail_at(&self) -> Option<&'static str> {
        match &self.content {
            Content::Order(order) if self.content.mistake().is_none() => must_fail_at(order),
            _ => None,
        }
    }

    /// True if what was done for the order cannot be undone before somebody has helped.
    pub fn must_be_stuck(&self) -> bool {
        let is_closed =
            matches!(&self.content, Content::Order(order) if order.card == "tok_closed");
        is_closed && self.must_fail_at() == Some("ship")
    }

    /// True if the edge must turn the line away.
    pub fn must_be_turned_away(&self) -> bool {
        self.way != Way::Message && self.content.mistake().is_some()
    }

    /// Sends the line to the orders service as a message.
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
        properties.message_id = Some(Text::from(&self.id));
        let address = Address::of(PlaceOrder::INFO, "shop", None);
        transport.publish(Outgoing::new(address, properties, body)).await?;
        Ok(())
    }
}
