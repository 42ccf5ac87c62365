//! Integration tests, in the order in which a message travels.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod amqp;
mod architecture;
mod bad_input;
mod boot;
mod bridge;
mod build_schemas;
mod capabilities;
mod classes;
mod conformance;
mod consume;
mod crash_windows;
mod dead_letters;
mod faults_of_tests;
mod foreign;
mod http;
mod idempotent;
mod identity;
mod later;
mod ledger;
mod limits;
mod outages;
mod program;
mod publish;
mod query_cache;
mod retries;
mod routing;
mod safe_defaults;
mod stores;
mod supervision;
mod tls;
mod wire_format;
mod workflow;
