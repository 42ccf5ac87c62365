use mmate::MessageError;

#[derive(Debug, MessageError)]
#[class(transient)]
pub struct OrderError;

fn main() {}
