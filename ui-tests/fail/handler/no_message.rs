use mmate::handler;

#[handler]
async fn on_created() {

}

fn main() {}
