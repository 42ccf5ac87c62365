use mmate::message;

pub struct Money(u64);

#[message(event)]
pub struct OrderCreated {
    pub total: Money,
}

fn main() {}
