//! A behaviour, and how one is not shown.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use super::{
    Bench, closing, consuming, declaring, delaying, limiting, properties, publishing, routing,
    settling,
};
use crate::store::StoreError;
use crate::transport::{Capability, PublishError, TransportError};

/// What a check returns.
pub(super) type Checked = Result<(), Failure>;

/// Something that a transport must do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Behaviour {
    /// A sentence in snake_case.
    pub name: &'static str,
    /// What the transport must be able to do for it to make sense.
    pub needs: &'static [Capability],
    pub(super) check: Check,
}

pub(super) type Check = for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = Checked> + Send + 'a>>;

/// Why a transport does not behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

/// All behaviours, in the order in which they are run.
#[must_use]
pub fn behaviours() -> &'static [Behaviour] {
    static ALL: LazyLock<Vec<Behaviour>> = LazyLock::new(|| {
        [
            properties::BEHAVIOURS,
            publishing::BEHAVIOURS,
            routing::BEHAVIOURS,
            consuming::BEHAVIOURS,
            settling::BEHAVIOURS,
            limiting::BEHAVIOURS,
            delaying::BEHAVIOURS,
            declaring::BEHAVIOURS,
            closing::BEHAVIOURS,
        ]
        .concat()
    });
    &ALL
}

/// Lists the checks of a file as behaviours of the same names.
macro_rules! list {
    ($($check:ident $([$($need:ident),+])?),+ $(,)?) => {
        pub(super) const BEHAVIOURS: &[super::Behaviour] = &[$(super::Behaviour {
            name: stringify!($check),
            needs: &[$($(crate::transport::Capability::$need),+)?],
            check: |bench| Box::pin($check(bench)),
        }),+];
    };
}
pub(super) use list;

/// Fails with a reason unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(super::Failure::new(format!($($reason)+)));
        }
    };
}
pub(super) use ensure;

impl Failure {
    /// A failure with a reason that a person understands without reading the check.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("{:?}: {error}", error.kind()))
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self(format!("{:?}: {error}", error.kind()))
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self(format!("{:?}: {error}", error.kind()))
    }
}
