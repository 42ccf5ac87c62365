use mmate::{handler, message};

#[message(event)]
pub struct SetPrice {
    pub item: String,
}

#[handler(concurrency = 4, cache = "5m")]
async fn price(message: SetPrice) -> mmate::Result<()> {
    let _ = message;
    Ok(())
}

fn main() {}
