use mmate::{handler, message};

#[message(command, reply = PriceQuoted)]
pub struct SetPrice {
    pub item: String,
}

#[message(reply)]
pub struct PriceQuoted {
    pub cents: u32,
}

#[handler(concurrency = 4, cache = "5m")]
async fn price(message: SetPrice) -> mmate::Result<PriceQuoted> {
    let _ = message;
    Ok(PriceQuoted { cents: 100 })
}

fn main() {}
