//! What a stage may ask for beside services: its key, and where it stands.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::ask::ReplyTo;
use crate::handler::{Context, FromContext, HandlerError, HandlerResult};

/// Identifies one stage of one instance: the same on every attempt, in every process, also after a crash. An outside
/// service gets it as its idempotency key, so that a stage which is tried again has its effect once.
///
/// The method that undoes a stage gets the key of that stage, since a stage whose outcome is unknown may have left
/// nothing else to find its effect by; its own idempotency key is [`StageKey::undo`]. A stage that is repeated has
/// another key each time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StageKey(String);

impl StageKey {
    pub(super) fn new(instance: Uuid, stage: &str, round: u32) -> Self {
        if round == 0 {
            return Self(format!("{instance}.{stage}"));
        }
        Self(format!("{instance}.{stage}.{round}"))
    }

    /// A key with this text, for calling a stage directly in a unit test.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The key's text: letters, digits, `-`, `.` and `_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which this stage is undone.
    #[must_use]
    pub fn undo(&self) -> Self {
        Self(format!("{}.undo", self.0))
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for StageKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Which stage of which instance is running, for whoever asks: `stage: StageInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageInfo {
    /// The workflow's id.
    pub workflow: &'static str,
    /// The instance.
    pub instance: Uuid,
    /// The stage that is run or undone.
    pub stage: &'static str,
    /// The stage's key.
    pub key: StageKey,
    /// Which attempt it is, from 1. One that was interrupted counts.
    pub attempt: u32,
    /// Whether the stage is being undone.
    pub undoing: bool,
    /// Why the instance goes back, while it does.
    pub failure: Option<String>,
    /// Where the reply to its request goes, if it asks.
    pub(super) reply_to: Option<ReplyTo>,
}

#[diagnostic::do_not_recommend]
impl FromContext for StageInfo {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        info(context).map(|info| (*info).clone())
    }
}

#[diagnostic::do_not_recommend]
impl FromContext for StageKey {
    fn from_context(context: &Context) -> HandlerResult<Self> {
        info(context).map(|info| info.key.clone())
    }
}

fn info(context: &Context) -> HandlerResult<Arc<StageInfo>> {
    context.extension().ok_or_else(|| {
        HandlerError::msg("only a stage of a workflow has a `StageKey` and a `StageInfo`")
    })
}
