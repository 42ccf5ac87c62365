use mmate::MessageError;

#[derive(Debug, MessageError)]
#[class(transient)]
pub enum OrderError {
    Warehouse,
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

fn main() {}
