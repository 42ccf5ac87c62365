use mmate::MessageError;

#[derive(Debug, MessageError)]
pub struct OrderError<T>(T);

fn main() {}
