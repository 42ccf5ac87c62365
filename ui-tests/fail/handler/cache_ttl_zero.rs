use mmate::{handler, message};

#[message(query, reply = PriceQuoted)]
pub struct AskPrice {
    pub item: String,
}

#[message(reply)]
pub struct PriceQuoted {
    pub cents: u32,
}

#[handler(cache = "0s")]
async fn price(query: AskPrice) -> mmate::Result<PriceQuoted> {
    let _ = query;
    Ok(PriceQuoted { cents: 100 })
}

fn main() {}
