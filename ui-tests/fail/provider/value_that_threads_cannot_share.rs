use std::rc::Rc;

use mmate::provider;

#[provider]
fn orders() -> Rc<u8> {
    Rc::new(1)
}

fn main() {}
