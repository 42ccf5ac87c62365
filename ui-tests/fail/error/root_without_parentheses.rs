use mmate::MessageError;

#[derive(Debug, MessageError)]
#[mmate]
#[class(transient)]
pub struct OrderError;

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

fn main() {}
