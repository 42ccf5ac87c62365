//! Integration tests, in the order in which a message travels.

mod amqp;
mod architecture;
mod bad_input;
mod boot;
mod conformance;
mod consume;
mod identity;
mod publish;
mod routing;
mod wire_format;
