//! Mmate.
pub mod contract;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "runtime")]
pub mod transport;
#[doc(hidden)]
pub use schemars;
pub use serde;
