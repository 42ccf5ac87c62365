//! Lessons and complete solutions; see the `[[example]]` targets of this package.
//!
//! `cargo run -p mmate-examples --example hello`
