use mmate::message;

#[message(event)]
pub struct Ping;

fn main() {}
