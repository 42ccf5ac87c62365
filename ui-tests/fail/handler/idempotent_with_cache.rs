use mmate::prelude::Result;
use mmate::{handler, message};

#[message(query, reply = Price)]
pub struct AskPrice {
    pub product: String,
}

#[message(reply)]
pub struct Price {
    pub cents: u32,
}

#[handler(cache = "5m", idempotent)]
async fn price(query: AskPrice) -> Result<Price> {
    let _ = query;
    Ok(Price { cents: 1 })
}

fn main() {}
