//! The words for what instances are, wish and went through, as databases and listings have them.

use std::fmt;
use std::str::FromStr;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it, as databases and listings have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|known| known.as_str()).collect();
                    format!("`{word}` is none of `{}`", known.join("`, `"))
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// How far an instance is.
    WorkflowStatus {
        /// Started, and no stage has begun.
        Pending = "pending",
        /// On its way through the stages.
        Running = "running",
        /// Until a moment, an event or an answer.
        Waiting = "waiting",
        /// Every stage is done.
        Completed = "completed",
        /// On its way back.
        Compensating = "compensating",
        /// A stage failed, and everything that had to be undone is undone.
        Compensated = "compensated",
        /// A stage failed, and there was nothing to undo.
        Failed = "failed",
        /// A compensation failed for good: somebody has to look at it.
        Stuck = "stuck",
        /// It was cancelled, and everything that had to be undone is undone.
        Cancelled = "cancelled",
        /// It took longer than it may, and everything that had to be undone is undone.
        TimedOut = "timed_out",
    }
}

impl WorkflowStatus {
    /// True if nothing will happen to it any more. A stuck one is not at its end.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Compensated | Self::Failed | Self::Cancelled | Self::TimedOut
        )
    }
}

words! {
    /// What an operator or a program wants to become of an instance.
    Wish {
        /// Undo what is done, and end.
        Cancel = "cancel",
        /// Try the compensation again that it is stuck in.
        Resume = "resume",
        /// Take the compensation that it is stuck in for done, and go on undoing.
        Skip = "skip",
    }
}

words! {
    /// What happened to an instance.
    HistoryEvent {
        /// It was started.
        Started = "started",
        /// A stage is done.
        Completed = "completed",
        /// An attempt failed; another follows.
        Retried = "retried",
        /// A stage failed for good.
        Failed = "failed",
        /// A stage failed for good, and the workflow goes on.
        Tolerated = "tolerated",
        /// An attempt began and nobody knows how it ended: its process was killed or lost its connection.
        Interrupted = "interrupted",
        /// A stage's condition did not hold.
        Skipped = "skipped",
        /// It waits, for a moment or for a message.
        Waiting = "waiting",
        /// A stage is undone.
        Undone = "undone",
        /// An attempt to undo a stage failed; another follows.
        UndoRetried = "undo_retried",
        /// A stage cannot be undone; the instance is stuck.
        Stuck = "stuck",
        /// An operator had it go on.
        Resumed = "resumed",
        /// An operator took the undoing of a stage for done.
        UndoSkipped = "undo_skipped",
        /// Somebody wished it to be undone.
        Cancelled = "cancelled",
        /// Its time was over.
        TimedOut = "timed_out",
        /// It has come to its end.
        Ended = "ended",
    }
}
