use mmate::message;

#[message(event)]
pub enum OrderClosed {}

fn main() {}
