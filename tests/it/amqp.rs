//! The RabbitMQ adapter against a real broker, whose URL stands in `MMATE_TEST_AMQP_URL`.

mod broker;
mod connecting;
mod consuming;
mod declaring;
mod failover;
mod losses;
mod outages;
pub(crate) mod proxy;
mod publishing;
