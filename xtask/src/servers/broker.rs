//! The broker that a whole test run shares: one that was given, else a private node.

use std::{env, io};

use super::{RabbitNode, StartOptions};

/// The environment variable that names the broker of a test run.
///
/// When it is already set, that broker is used and none is started.
pub const AMQP_URL_VARIABLE: &str = "MMATE_TEST_AMQP_URL";

/// The broker of a test run; a private node is stopped when this is dropped.
#[derive(Debug)]
pub enum TestBroker {
    /// A broker that [`AMQP_URL_VARIABLE`] names. It is not ours to stop.
    Given(String),
    /// A node started for this run. Boxed, because the other variant is a string.
    Private(Box<RabbitNode>),
}

impl TestBroker {
    /// The broker that the environment names, if it names one.
    #[must_use]
    pub fn given() -> Option<Self> {
        let url = env::var(AMQP_URL_VARIABLE).ok()?;
        (!url.is_empty()).then_some(Self::Given(url))
    }

    /// Takes the broker that the environment names, else starts a private node.
    ///
    /// # Errors
    ///
    /// When a node has to be started and fails to start.
    pub fn given_or_start(options: &StartOptions) -> io::Result<Self> {
        match Self::given() {
            Some(broker) => Ok(broker),
            None => RabbitNode::start(options).map(|node| Self::Private(Box::new(node))),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(node) => node.amqp_url(),
        }
    }
}
