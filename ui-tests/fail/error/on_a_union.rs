use mmate::MessageError;

#[derive(MessageError)]
pub union OrderError {
    pub code: u32,
}

fn main() {}
