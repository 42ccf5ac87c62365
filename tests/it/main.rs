//! Integration tests, in the order in which a message travels.

mod amqp;
mod architecture;
mod bad_input;
mod conformance;
mod consume;
mod publish;
mod wire_format;
