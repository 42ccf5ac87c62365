//! Integration tests, in the order in which a message travels.

mod architecture;
mod bad_input;
mod boot;
mod consume;
mod identity;
mod publish;
mod wire_format;
