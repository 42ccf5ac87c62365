use mmate::MessageError;

#[derive(Debug, MessageError)]
pub enum OrderError {
    
    Warehouse { source: u32 },
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("order")
    }
}

impl std::error::Error for OrderError {}

fn main() {}
