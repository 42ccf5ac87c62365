//! Mmate.
#[doc(hidden)]
pub mod __private;
#[cfg(feature = "runtime")]
pub mod consume;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod dispatch;
#[cfg(feature = "runtime")]
pub mod handler;
#[cfg(feature = "runtime")]
pub mod publish;
pub mod reliability;
#[cfg(feature = "runtime")]
pub mod transport;
pub use schemars;
pub use serde;
