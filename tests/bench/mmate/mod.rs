//! The same work through Mmate's public API, as a service would write it.

pub(crate) mod asking;
pub(crate) mod consume;
pub(crate) mod end_to_end;
pub(crate) mod memory;
pub(crate) mod profile;
pub(crate) mod publish;
pub(crate) mod service;
