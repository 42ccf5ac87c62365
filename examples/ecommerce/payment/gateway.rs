//! The payment provider, as a service meets one: slow, at times away, at times silent after it did
//! what it was asked.
//!
//! How it behaves, the card says: `tok_flaky_2` fails twice and then works, `tok_lost_answer` is
//! charged while the answer is lost, `tok_declined` and `tok_expired` are refused, and
//! `tok_unreachable` does not get through until the provider is repaired. All others work.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mmate::prelude::*;

/// How long the provider takes.
const LATENCY: Duration = Duration::from_millis(2);

/// What the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Charged.
    Taken { payment_id: String },
    /// Refused, and so it will be tomorrow.
    Refused { reason: String },
}

/// What went wrong on the way; a later call may work.
#[derive(Debug, thiserror::Error, MessageError)]
pub enum Outage {
    #[error("the payment provider cannot be reached")]
    #[class(transient)]
    Unreachable,
    #[error("the payment provider did not answer; it may have charged the card")]
    #[class(transient)]
    NoAnswer,
}

/// The connection to the provider, and what the provider has on its books.
#[derive(Debug, Default)]
pub struct Gateway(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    /// Calls by idempotency key.
    calls: BTreeMap<String, u32>,
    verdicts: BTreeMap<String, Verdict>,
    captures: Vec<Capture>,
    is_repaired: bool,
}

/// Money that was taken from a card.
#[derive(Clone, Debug)]
pub struct Capture {
    pub key: String,
    pub amount: Decimal,
}

impl Gateway {
    /// Charges a card. Asked again with the same key the provider charges nothing and says what it
    /// said, so a caller that got no answer can safely ask again.
    pub async fn charge(&self, key: &str, card: &str, amount: Decimal) -> Result<Verdict, Outage> {
        tokio::time::sleep(LATENCY).await;
        let mut books = self.books();
        let calls = books.calls.entry(key.to_owned()).or_default();
        *calls += 1;
        let call = *calls;
        let failures = card.strip_prefix("tok_flaky_").and_then(|count| count.parse().ok());
        let is_away = card == "tok_unreachable" && !books.is_repaired;
        if is_away || failures.is_some_and(|failures: u32| call <= failures) {
            return Err(Outage::Unreachable);
        }
        let verdict = books.judge(key, card, amount);
        if card == "tok_lost_answer" && call == 1 {
            return Err(Outage::NoAnswer);
        }
        Ok(verdict)
    }

    /// The provider gets through to all cards again.
    pub fn repair(&self) {
        self.books().is_repaired = true;
    }

    /// All money that was ever taken.
    pub fn captures(&self) -> Vec<Capture> {
        self.books().captures.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn judge(&mut self, key: &str, card: &str, amount: Decimal) -> Verdict {
        if let Some(known) = self.verdicts.get(key) {
            return known.clone();
        }
        let verdict = match card {
            "tok_declined" => Verdict::Refused { reason: "the card was declined".to_owned() },
            "tok_expired" => Verdict::Refused { reason: "the card has expired".to_owned() },
            _ => {
                self.captures.push(Capture { key: key.to_owned(), amount });
                Verdict::Taken { payment_id: format!("pay-{}", self.captures.len()) }
            }
        };
        self.verdicts.insert(key.to_owned(), verdict.clone());
        verdict
    }
}
