//! Mmate.
#[doc(hidden)]
pub mod __private;
pub mod build;
#[cfg(feature = "runtime")]
pub mod consume;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod dispatch;
#[cfg(feature = "runtime")]
mod error;
#[cfg(feature = "runtime")]
pub mod handler;
#[cfg(feature = "macros")]
mod macros;
pub mod prelude;
#[cfg(feature = "runtime")]
pub mod publish;
pub mod reliability;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "runtime")]
pub mod transport;

#[cfg(feature = "runtime")]
pub use error::{BootErrors, Error, Result};
#[cfg(feature = "macros")]
pub use macros::*;
#[cfg(feature = "runtime")]
pub use runtime::{App, Config, run};
pub use schemars;
pub use serde;
