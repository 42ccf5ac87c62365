use mmate::handler;

#[handler]
async fn on_created(event: std::vec::Vec<u8>) {
    let _ = event;
}

fn main() {}
