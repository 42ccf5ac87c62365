use mmate::message;

#[message(event)]
pub struct Created<T> {
    pub what: T,
}

fn main() {}
