use std::rc::Rc;

use mmate::provider;

#[provider]
fn orders() -> Result<Rc<u8>, std::io::Error> {
    Ok(Rc::new(1))
}

fn main() {}
