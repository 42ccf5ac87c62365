//! Tokens to the types of [`crate::model`]. Reports what is malformed; whether parts fit together is
//! for `validate`.

pub(crate) mod args;
pub(crate) mod block;
pub(crate) mod docs;
pub(crate) mod error;
pub(crate) mod handler;
pub(crate) mod item;
mod limits;
pub(crate) mod message;
pub(crate) mod program;
pub(crate) mod values;
pub(crate) mod workflow;
