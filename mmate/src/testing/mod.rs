//! Tools for tests.
//!
//! In: a transport or a service under test. Out: verdicts. Tests call this room; nothing that runs
//! in production does.

pub mod conformance;
