//! Real servers for tests: private, on loopback, gone when their owner is gone.
//!
//! A test asks for a server by starting a value, such as [`RabbitNode`]; dropping the value ends
//! every process of the server and removes its folder. A [`Guard`] does the same when the owner
//! itself dies, even by `SIGKILL`. Nothing here touches servers that somebody else started, and
//! nothing is ever looked for by process name.
//!
//! A further server is a folder beside [`rabbitmq`]. Its contract: found, else installed into a
//! scratch folder, else [`Availability::Skipped`] with the reason, so that tests without their
//! server are reported as skipped and never as passed.
//!
//! Unix only: process groups and signals are the substance of this module.

mod availability;
mod broker;
mod foreign;
mod packages;
mod ports;
pub mod postgres;
pub mod process;
mod programs;
pub mod proxy;
pub mod rabbitmq;
mod scratch;

pub use availability::Availability;
pub use broker::{AMQP_URL_VARIABLE, TestBroker};
pub use foreign::ForeignClient;
pub use packages::InstallPolicy;
pub use postgres::{POSTGRES_URL_VARIABLE, PostgresInstallation, PostgresServer, TestPostgres};
pub use process::Guard;
pub use rabbitmq::{Installation, RabbitCluster, RabbitNode, StartOptions, TlsFiles};
