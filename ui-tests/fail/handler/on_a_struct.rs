use mmate::handler;

#[handler]
pub struct OnCreated;

fn main() {}
