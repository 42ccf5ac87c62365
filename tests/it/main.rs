//! Integration tests, in the order in which a message travels.

mod amqp;
mod architecture;
mod conformance;
mod consume;
