//! Mmate.
#[doc(hidden)]
pub mod __private;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod handler;
#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "runtime")]
pub mod publish;
pub mod reliability;
#[cfg(feature = "runtime")]
pub mod transport;
#[cfg(feature = "macros")]
pub use macros::*;
pub use schemars;
pub use serde;
