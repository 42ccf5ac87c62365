//! Boot, run, stop.
//!
//! In: annotated functions, configuration, a transport. Out: a running service and its report. Users
//! call [`run`] or [`App::builder`]; nothing calls this room but `testing`.

#[cfg(feature = "amqp")]
mod amqp;
mod app;
mod boot;
mod builder;
mod command;
mod config;
mod connect;
mod health;
mod ledger;
mod listing;
mod plan;
mod providers;
mod service;
mod shutdown;
mod workflows;

pub use app::{App, Running};
pub use builder::AppBuilder;
pub(crate) use command::main;
pub use command::{MainResult, run};
pub use config::{Config, ConfigError, Setting, Settings};
pub use health::{ConsumerHealth, Health, HealthWatch, QueueLag};
pub use plan::{Plan, PlannedHandler, QueuePlan};
pub use service::ServiceInfo;
pub use shutdown::ShutdownReport;
#[cfg(feature = "http")]
pub(crate) use shutdown::Signals;
