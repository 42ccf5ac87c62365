//! The attributes, with their documentation.

pub use mmate_macros::{MessageError, handler, main, message, payload, provider, test};
