//! The real servers that tests start, kill and stop, apart from the tasks that use them.
//!
//! The library half of this package needs nothing but the standard library, so that a test may
//! depend on it without weight. The binary half is `cargo xtask`.

pub mod servers;
