use mmate::message;

#[message(event)]
fn order_created() {}

fn main() {}
