use mmate::handler::HandlerResult as Result;
use mmate::provider;

#[provider]
async fn orders() -> Result {
    Ok(())
}

fn main() {}
