//! What an error means for the message that was being handled.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The class of an error, which decides what becomes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Something outside is away for a moment. 5 attempts, exponential.
    Transient,
    /// Something outside asks for less. 3 attempts, linear.
    Throttle,
    /// The message is wrong. Never retried.
    Invalid,
    /// It will fail every time. Never retried.
    Permanent,
    /// Something of our own is broken. 3 attempts, exponential.
    System,
    /// Not classified. The default policy.
    Unknown,
    /// A refusal by a rule of the business: answered to a caller that waits, acknowledged, never
    /// retried.
    Rejected {
        /// The code that the caller sees.
        code: &'static str,
    },
}

impl ErrorClass {
    /// The word as it stands in headers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttle => "throttle",
            Self::Invalid => "invalid",
            Self::Permanent => "permanent",
            Self::System => "system",
            Self::Unknown => "unknown",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// An error type that says its own class. `#[derive(MessageError)]` implements it.
///
/// The class is found also when the value is wrapped in other errors, as long as `source` leads to it.
pub trait MessageError: StdError + Send + Sync + 'static {
    /// The class of this value.
    fn class(&self) -> ErrorClass;

    /// Whether nobody knows if what failed had its effect all the same, as when an answer was lost. A stage of a workflow
    /// that fails for good after such an attempt is undone (see [`OutcomeUnknown`]).
    fn outcome_is_unknown(&self) -> bool {
        false
    }

    /// The error behind this one, if that decides. Unlike `source` it is there also for an error that
    /// is transparent, and it may ask for more than a class.
    #[doc(hidden)]
    fn behind(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

/// What an error type says of itself: its class, or the error behind it that decides.
#[derive(Debug)]
struct Said<'a> {
    class: ErrorClass,
    behind: Option<&'a (dyn StdError + 'static)>,
    outcome_is_unknown: bool,
}

/// The registration of an error type, collected at link time.
#[derive(Clone, Copy, Debug)]
pub struct ErrorEntry {
    ask: for<'a> fn(&'a (dyn StdError + 'static)) -> Option<Said<'a>>,
}

impl ErrorEntry {
    /// The registration of `E`.
    #[must_use]
    pub const fn of<E: MessageError>() -> Self {
        Self {
            ask: |error| {
                error.downcast_ref::<E>().map(|error| Said {
                    class: error.class(),
                    behind: error.behind(),
                    outcome_is_unknown: error.outcome_is_unknown(),
                })
            },
        }
    }
}

inventory::collect!(ErrorEntry);

/// A refusal: answered to the caller if it waits, acknowledged, never retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What a program reads, such as `OUT_OF_STOCK`.
    pub code: String,
    /// What a person reads.
    pub message: String,
    /// More for a program, sent along as `errorDetails`.
    pub details: Option<serde_json::Value>,
}

impl Reject {
    /// A refusal with a code and a text.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    /// Adds what a program may want to know.
    #[must_use]
    pub fn details(mut self, details: impl Into<serde_json::Value>) -> Self {
        self.details = Some(details.into());
        self
    }
}

/// Asks for another attempt after a wait, as far as attempts are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    wait: Duration,
}

impl Retry {
    /// Another attempt after this wait.
    #[must_use]
    pub const fn after(wait: Duration) -> Self {
        Self { wait }
    }
}

/// Asks for the message to be dead-lettered at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter(
    /// Why, for the person who looks at the queue.
    pub String,
);

/// Asks for the message to be acknowledged and forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard(
    /// Why, for the log.
    pub String,
);

/// Says that nobody knows whether what failed had its effect all the same: an answer was lost after a card may have been
/// charged. `bank.charge(..).await.map_err(OutcomeUnknown::new)?`
///
/// What becomes of the message, and whether there is another attempt, follows from the error inside. A stage of a
/// workflow that fails for good is undone if one of its attempts ended so, whatever the others said.
#[derive(Debug)]
pub struct OutcomeUnknown(Box<dyn StdError + Send + Sync>);

impl OutcomeUnknown {
    /// Of this error nobody knows the outcome.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for OutcomeUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (whether it had its effect is not known)", self.0)
    }
}

impl StdError for OutcomeUnknown {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

impl MessageError for OutcomeUnknown {
    // The error inside says the class.
    fn class(&self) -> ErrorClass {
        ErrorClass::Unknown
    }

    fn outcome_is_unknown(&self) -> bool {
        true
    }
}

inventory::submit!(ErrorEntry::of::<OutcomeUnknown>());

macro_rules! display_as_error {
    ($($type:ident => |$value:ident| $($format:expr),+;)*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                write!(f, $($format),+)
            }
        }
        impl StdError for $type {}
    )*};
}

display_as_error! {
    Reject => |it| "{}: {}", it.code, it.message;
    Retry => |it| "asked for another attempt after {:?}", it.wait;
    DeadLetter => |it| "{}", it.0;
    Discard => |it| "{}", it.0;
}

/// What an error asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Retry by the policy of the class, after the given wait if there is one.
    Policy(ErrorClass, Option<Duration>),
    /// Answer and acknowledge.
    Reject(Reject),
    /// Dead-letter at once.
    DeadLetter,
    /// Acknowledge and forget.
    Discard,
}

/// Finds out what an error asks for: the first error in its chain of sources that says something.
#[must_use]
pub fn classify(error: &(dyn StdError + 'static)) -> Verdict {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(verdict) = verdict_of(error) {
            return verdict;
        }
        current = error.source();
    }
    Verdict::Policy(ErrorClass::Unknown, None)
}

/// Whether an error, or one in its chain of sources, says that nobody knows whether what failed had its effect.
#[must_use]
pub fn outcome_is_unknown(error: &(dyn StdError + 'static)) -> bool {
    let mut current = Some(error);
    while let Some(error) = current {
        if said_by(error).is_some_and(|said| said.outcome_is_unknown) {
            return true;
        }
        current = error.source();
    }
    false
}

fn said_by<'a>(error: &'a (dyn StdError + 'static)) -> Option<Said<'a>> {
    inventory::iter::<ErrorEntry>.into_iter().find_map(|entry| (entry.ask)(error))
}

fn verdict_of(error: &(dyn StdError + 'static)) -> Option<Verdict> {
    if let Some(reject) = error.downcast_ref::<Reject>() {
        return Some(Verdict::Reject(reject.clone()));
    }
    if let Some(retry) = error.downcast_ref::<Retry>() {
        return Some(Verdict::Policy(ErrorClass::Throttle, Some(retry.wait)));
    }
    if error.is::<DeadLetter>() {
        return Some(Verdict::DeadLetter);
    }
    if error.is::<Discard>() {
        return Some(Verdict::Discard);
    }
    let said = said_by(error)?;
    if let Some(behind) = said.behind {
        return Some(classify(behind));
    }
    match said.class {
        // An unclassified wrapper: the error that it wraps may say more.
        ErrorClass::Unknown => None,
        ErrorClass::Rejected { code } => {
            Some(Verdict::Reject(Reject::new(code, error.to_string())))
        }
        class => Some(Verdict::Policy(class, None)),
    }
}
