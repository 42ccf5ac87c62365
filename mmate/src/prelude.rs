//! What every service writes.

#[cfg(feature = "runtime")]
pub use crate::bridge::{AskError, AskErrorKind, Bridge};
pub use crate::contract::{Envelope, Headers, Message, Refusal};
#[cfg(feature = "runtime")]
pub use crate::handler::{Context, HandlerError, HandlerResult as Result, State};
#[cfg(feature = "macros")]
pub use crate::macros::{MessageError, handler, message, payload, provider, stage, workflow};
#[cfg(feature = "runtime")]
pub use crate::publish::Publisher;
#[cfg(feature = "runtime")]
pub use crate::reliability::{DeadLetter, Discard, OutcomeUnknown, Reject, Retry};
#[cfg(feature = "runtime")]
pub use crate::runtime::{App, Config};
#[cfg(feature = "testing")]
pub use crate::testing::TestApp;
#[cfg(feature = "runtime")]
pub use crate::workflow::{Ended, StageInfo, StageKey, Workflows};
pub use jiff::Timestamp;
#[cfg(feature = "decimal")]
pub use rust_decimal::Decimal;
