use mmate::prelude::*;

#[message(query, reply = Price)]
pub struct AskPrice {
    pub product: String,
}

#[message(reply)]
pub struct Price {
    pub cents: u32,
}

#[message(reply)]
pub struct Stock {
    pub pieces: u32,
}

pub async fn stock(bridge: &Bridge, query: AskPrice) -> Result<u32> {
    let stock: Stock = bridge.ask(query).await?;
    Ok(stock.pieces)
}

fn main() {}
