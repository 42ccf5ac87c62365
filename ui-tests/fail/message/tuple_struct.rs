use mmate::message;

#[message(event)]
pub struct OrderCreated(String);

fn main() {}
