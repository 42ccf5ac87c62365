use mmate::{handler, message};

#[message(query, reply = PriceQuoted)]
pub struct AskPrice {
    pub item: String,
}

#[message(reply)]
pub struct PriceQuoted {
    pub cents: u32,
}

#[handler(cache = "5m")]
async fn price(query: AskPrice) {
    let _ = query;
}

fn main() {}
