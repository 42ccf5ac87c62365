//! Questions and answers in the family's envelope, by hand.

use ::lapin::BasicProperties;
use ::lapin::types::{AMQPValue, FieldTable, ShortString};
use mmate::prelude::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wire::{Dress, Id, now};
use crate::Result;
use crate::message::OrderLine;
use crate::question::{OrderPriced, PriceOrder};

/// The question's name on the wire.
pub(crate) const QUESTION: &str = "PriceOrder";

/// The answer's name on the wire.
const ANSWER: &str = "OrderPriced";

/// A body with its properties, and the id that both carry.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) id: Id,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// What a responder needs of a question.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    id: &'a str,
    correlation_id: &'a str,
    /// Where the answer goes.
    pub(crate) reply_to: &'a str,
    /// The question itself.
    pub(crate) question: PriceOrder,
}

/// The whole of an envelope, in the order of its keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, P> {
    id: &'a str,
    r#type: &'a str,
    timestamp: Timestamp,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers<'a>>,
    payload: P,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Headers<'a> {
    causation_id: &'a str,
}

/// The question with the reply address beside its own fields, where siblings look for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    order_id: &'a str,
    customer_id: &'a str,
    total_cents: u64,
    express: bool,
    lines: &'a [OrderLine],
    reply_to: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    order_id: &'a str,
    items: u32,
    price_cents: u64,
    success: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened<'a> {
    id: &'a str,
    r#type: &'a str,
    correlation_id: &'a str,
    reply_to: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Tells an answer from a refusal.
#[derive(Deserialize)]
struct Success {
    success: bool,
}

/// Writes a question that wants its answer in a queue, before `deadline` in milliseconds since 1970.
pub(crate) fn ask(question: &PriceOrder, reply_to: &ShortString, deadline: i64) -> Result<Letter> {
    let (id, time) = (Id::new(), now());
    let mut body = Vec::with_capacity(768);
    let payload = Question {
        order_id: &question.order_id,
        customer_id: &question.customer_id,
        total_cents: question.total_cents,
        express: question.express,
        lines: &question.lines,
        reply_to: reply_to.as_str(),
    };
    let envelope = Envelope {
        id: id.as_str(),
        r#type: QUESTION,
        timestamp: time,
        correlation_id: id.as_str(),
        reply_to: Some(reply_to.as_str()),
        headers: None,
        payload,
    };
    serde_json::to_writer(&mut body, &envelope)?;
    let mut headers = FieldTable::default();
    headers.insert("x-deadline".into(), AMQPValue::LongLongInt(deadline));
    let properties = Dress::MMATE
        .properties(id.as_str(), time)
        .with_type(QUESTION.into())
        .with_reply_to(reply_to.clone())
        .with_headers(headers);
    Ok(Letter { id, body, properties })
}

/// Reads a question.
pub(crate) fn read(body: &[u8]) -> Result<Asked<'_>> {
    let opened: Opened<'_> = serde_json::from_slice(body)?;
    if opened.r#type != QUESTION {
        return Err(format!("`{}` is a `{}`", opened.id, opened.r#type).into());
    }
    Ok(Asked {
        id: opened.id,
        correlation_id: opened.correlation_id,
        reply_to: opened.reply_to.ok_or("nobody waits for the answer")?,
        question: serde_json::from_str(opened.payload.get())?,
    })
}

/// Writes the answer to a question; `correlation_id` is the question's property.
pub(crate) fn answer(
    asked: &Asked<'_>,
    priced: &OrderPriced,
    correlation_id: Option<ShortString>,
) -> Result<Letter> {
    let (id, time) = (Id::new(), now());
    let mut body = Vec::with_capacity(512);
    let payload = Answer {
        order_id: &priced.order_id,
        items: priced.items,
        price_cents: priced.price_cents,
        success: true,
    };
    let envelope = Envelope {
        id: id.as_str(),
        r#type: ANSWER,
        timestamp: time,
        correlation_id: asked.correlation_id,
        reply_to: None,
        headers: Some(Headers { causation_id: asked.id }),
        payload,
    };
    serde_json::to_writer(&mut body, &envelope)?;
    let mut properties = Dress { correlation_id: false, ..Dress::MMATE }
        .properties(id.as_str(), time)
        .with_type(ANSWER.into());
    if let Some(theirs) = correlation_id {
        properties = properties.with_correlation_id(theirs);
    }
    Ok(Letter { id, body, properties })
}

/// Reads an answer.
pub(crate) fn read_answer(body: &[u8]) -> Result<OrderPriced> {
    let opened: Opened<'_> = serde_json::from_slice(body)?;
    let Success { success } = serde_json::from_str(opened.payload.get())?;
    if opened.r#type != ANSWER || !success {
        return Err(format!("`{}` answers as a `{}`", opened.id, opened.r#type).into());
    }
    Ok(serde_json::from_str(opened.payload.get())?)
}
