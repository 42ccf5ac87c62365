#[mmate::test]
async fn an_order_is_placed(app: u8, other: u8) {
    let _ = (app, other);
}

fn main() {}
