//! What is written by hand on the AMQP library: the best pattern known, and the one that most people
//! write. The same work as Mmate's in every respect that the wire or a handler can see.

pub(crate) mod acks;
pub(crate) mod answering;
pub(crate) mod asking;
pub(crate) mod consume;
pub(crate) mod end_to_end;
pub(crate) mod inlet;
pub(crate) mod naive;
pub(crate) mod naive_asking;
pub(crate) mod properties;
pub(crate) mod publish;
pub(crate) mod question;
pub(crate) mod wire;
