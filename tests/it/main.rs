//! Tests across rooms, and against a broker.

mod amqp;
