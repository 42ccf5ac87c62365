use mmate::handler;

#[handler(cache = "5m")]
async fn price(query: std::vec::Vec<u8>) -> mmate::Result<u32> {
    let _ = query;
    Ok(1)
}

fn main() {}
