//! What was read, judged: signatures, names, pairs of keys.

pub(crate) mod error;
pub(crate) mod handler;
pub(crate) mod message;
pub(crate) mod naming;
pub(crate) mod program;
pub(crate) mod provider;
pub(crate) mod signature;
pub(crate) mod workflow;
