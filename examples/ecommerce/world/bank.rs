//! The bank. How it behaves, the card says:
//!
//! | card | |
//! |---|---|
//! | `tok_declined`, `tok_expired` | refused |
//! | `tok_flaky_2` | the bank is away twice, then it works |
//! | `tok_unreachable` | the bank is always away |
//! | `tok_lost_answer` | charged, and the first answer is lost |
//! | `tok_silent` | charged, and every answer is lost |
//! | `tok_closed` | charged, and then the account is closed: nothing can be paid back until the bank opens it again |
//!
//! All others work.

use std::collections::BTreeMap;

use mmate::prelude::*;

use super::Answer;

/// Money that moved.
#[derive(Clone, Debug)]
pub struct Payment {
    pub key: String,
    pub order_id: String,
    pub amount: Decimal,
}

/// What the bank remembers of a key.
#[derive(Clone, Debug)]
enum Known {
    Charged {
        payment_id: String,
        card: String,
        amount: Decimal,
    },
    Refused(&'static str),
    /// Paid back, or called off before anything was charged.
    Over,
}

/// The accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    known: BTreeMap<String, Known>,
    pub charges: Vec<Payment>,
    pub refunds: Vec<Payment>,
    is_open: bool,
}

impl Accounts {
    /// Charges a card once per key.
    pub(super) fn charge(
        &mut self,
        call: u32,
        (key, order_id): (String, String),
        card: String,
        amount: Decimal,
    ) -> Option<Answer> {
        let failures = card.strip_prefix("tok_flaky_").and_then(|count| count.parse().ok());
        if card == "tok_unreachable" || failures.is_some_and(|failures: u32| call <= failures) {
            return Some(Answer::Away);
        }
        let is_lost = card == "tok_silent" || (card == "tok_lost_answer" && call == 1);
        if !self.known.contains_key(&key) {
            let known = match card.as_str() {
                "tok_declined" => Known::Refused("the card was declined"),
                "tok_expired" => Known::Refused("the card has expired"),
                _ => {
                    self.charges.push(Payment { key: key.clone(), order_id, amount });
                    let payment_id = format!("pay-{}", self.charges.len());
                    Known::Charged { payment_id, card, amount }
                }
            };
            self.known.insert(key.clone(), known);
        }
        let answer = match &self.known[&key] {
            Known::Charged { payment_id, .. } => Answer::Done(payment_id.clone()),
            Known::Refused(why) => Answer::Refused((*why).to_owned()),
            Known::Over => Answer::Refused("the payment was called off".to_owned()),
        };
        (!is_lost).then_some(answer)
    }

    /// Pays back what was charged under a key.
    pub(super) fn refund(&mut self, key: String, order_id: String) -> Answer {
        if let Some(Known::Charged { card, amount, .. }) = self.known.get(&key) {
            if card == "tok_closed" && !self.is_open {
                return Answer::Refused("the account is closed".to_owned());
            }
            self.refunds.push(Payment { key: key.clone(), order_id, amount: *amount });
        }
        self.known.insert(key.clone(), Known::Over);
        Answer::Done(key)
    }

    pub(super) const fn reopen(&mut self) {
        self.is_open = true;
    }

    /// What was charged for an order, and what was paid back.
    pub fn moved(&self, order_id: &str) -> (Decimal, Decimal) {
        let of = |payments: &[Payment]| -> Decimal {
            let of_order = payments.iter().filter(|payment| payment.order_id == order_id);
            of_order.map(|payment| payment.amount).sum()
        };
        (of(&self.charges), of(&self.refunds))
    }

    /// What an order has paid in the end.
    pub fn paid(&self, order_id: &str) -> Decimal {
        let (charged, refunded) = self.moved(order_id);
        charged - refunded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(accounts: &mut Accounts, call: u32, card: &str) -> Option<Answer> {
        let key = ("key".to_owned(), "order".to_owned());
        accounts.charge(call, key, card.to_owned(), Decimal::TEN)
    }

    fn refund(accounts: &mut Accounts) -> Answer {
        accounts.refund("key".to_owned(), "order".to_owned())
    }

    #[test]
    fn a_lost_answer_is_given_the_second_time_and_nothing_is_charged_twice() {
        let mut accounts = Accounts::default();
        assert_eq!(charge(&mut accounts, 1, "tok_lost_answer"), None);
        assert_eq!(
            charge(&mut accounts, 2, "tok_lost_answer"),
            Some(Answer::Done("pay-1".to_owned()))
        );
        assert_eq!(accounts.charges.len(), 1);
    }

    #[test]
    fn money_comes_back_once_and_is_not_taken_after_that() {
        let mut accounts = Accounts::default();
        charge(&mut accounts, 1, "tok_visa");
        for _ in 0..2 {
            refund(&mut accounts);
            assert_eq!((accounts.refunds.len(), accounts.paid("order")), (1, Decimal::ZERO));
        }
        let late = charge(&mut accounts, 2, "tok_visa");
        assert!(matches!(late, Some(Answer::Refused(_))), "{late:?}");
        assert_eq!(accounts.charges.len(), 1);
    }

    #[test]
    fn a_closed_account_takes_nothing_back_until_it_is_open() {
        let mut accounts = Accounts::default();
        charge(&mut accounts, 1, "tok_closed");
        assert_eq!(refund(&mut accounts), Answer::Refused("the account is closed".to_owned()));
        assert_eq!(accounts.paid("order"), Decimal::TEN);
        accounts.reopen();
        refund(&mut accounts);
        assert_eq!(accounts.paid("order"), Decimal::ZERO);
    }
}
