//! What configuration says about errors: policies of classes, and classes of errors that say nothing.

use super::{Backoff, ErrorClass, RetryPolicy, Verdict};

/// The policy of each class that is retried at all. `invalid` and `permanent` are not, and have none.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicies {
    /// 5 attempts, 1 s doubling to 30 s.
    pub transient: RetryPolicy,
    /// 3 attempts, 1 s more each time up to 30 s.
    pub throttle: RetryPolicy,
    /// [`RetryPolicy::DEFAULT`].
    pub system: RetryPolicy,
    /// [`RetryPolicy::DEFAULT`].
    pub unknown: RetryPolicy,
}

impl Default for RetryPolicies {
    fn default() -> Self {
        Self::BUILT_IN
    }
}

impl RetryPolicies {
    /// What holds where nobody says anything.
    pub const BUILT_IN: Self = Self {
        transient: RetryPolicy::new(5, Backoff::exponential_ms(1_000, 30_000)),
        throttle: RetryPolicy::new(3, Backoff::linear_ms(1_000, 30_000)),
        system: RetryPolicy::DEFAULT,
        unknown: RetryPolicy::DEFAULT,
    };

    /// The policy of a class. What the handler's `retry(..)` says replaces that of every class that is
    /// retried at all.
    #[must_use]
    pub fn of(&self, class: ErrorClass, handler: Option<RetryPolicy>) -> RetryPolicy {
        let own = match class {
            ErrorClass::Invalid | ErrorClass::Permanent | ErrorClass::Rejected { .. } => {
                return RetryPolicy::NEVER;
            }
            ErrorClass::Transient => self.transient,
            ErrorClass::Throttle => self.throttle,
            ErrorClass::System => self.system,
            ErrorClass::Unknown => self.unknown,
        };
        handler.unwrap_or(own)
    }
}

/// Gives a class to errors by their text, for errors of others that cannot say their class themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryRule {
    /// The handler that it is for; all of them if not set.
    pub handler: Option<String>,
    /// What the text of the error, its sources included, contains; any error if not set.
    pub error: Option<String>,
    /// The class that such errors get.
    pub class: ErrorClass,
    /// Whether it holds also for errors that say their class themselves.
    pub always: bool,
}

impl RetryRule {
    /// A rule for all errors of all handlers that say nothing.
    #[must_use]
    pub const fn new(class: ErrorClass) -> Self {
        Self { handler: None, error: None, class, always: false }
    }
}

/// What configuration says about failures: what the class of an error is, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RetrySettings {
    /// The policies of the classes.
    pub policies: RetryPolicies,
    /// The rules; the first that fits is taken.
    pub rules: Vec<RetryRule>,
}

impl RetrySettings {
    /// What an error asks for, after the rules. `verdict` is the error's own word; `text` is its text with
    /// its sources, which is made only if a rule wants to see it.
    ///
    /// An error that asks to be rejected, dead-lettered or discarded has decided; no rule changes that.
    /// A wait that the error asked for is kept.
    #[must_use]
    pub fn judge(&self, verdict: Verdict, handler: &str, text: impl Fn() -> String) -> Verdict {
        let Verdict::Policy(own, wait) = verdict else { return verdict };
        let silent = own == ErrorClass::Unknown;
        let fits = |rule: &&RetryRule| {
            (silent || rule.always)
                && rule.handler.as_deref().is_none_or(|name| name == handler)
                && rule.error.as_deref().is_none_or(|part| text().contains(part))
        };
        let class = self.rules.iter().find(fits).map_or(own, |rule| rule.class);
        Verdict::Policy(class, wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reliability::Reject;

    fn rule(handler: Option<&str>, error: Option<&str>, class: ErrorClass) -> RetryRule {
        let (handler, error) = (handler.map(str::to_owned), error.map(str::to_owned));
        RetryRule { handler, error, ..RetryRule::new(class) }
    }

    fn settings(rules: impl Into<Vec<RetryRule>>) -> RetrySettings {
        RetrySettings { rules: rules.into(), ..RetrySettings::default() }
    }

    const SILENT: Verdict = Verdict::Policy(ErrorClass::Unknown, None);

    fn class(class: ErrorClass) -> Verdict {
        Verdict::Policy(class, None)
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_class() {
        let settings = settings([
            rule(Some("pay"), Some("timed out"), ErrorClass::Transient),
            rule(None, Some("timed out"), ErrorClass::System),
            rule(Some("pay"), None, ErrorClass::Permanent),
        ]);
        let judge = |handler, text: &str| settings.judge(SILENT, handler, || text.to_owned());
        assert_eq!(judge("pay", "it timed out: io"), class(ErrorClass::Transient));
        assert_eq!(judge("ship", "it timed out: io"), class(ErrorClass::System));
        assert_eq!(judge("pay", "no such card"), class(ErrorClass::Permanent));
        assert_eq!(judge("ship", "no such card"), SILENT);
    }

    #[test]
    fn what_an_error_says_itself_holds_unless_the_rule_is_for_always() {
        let mut rules = settings([rule(None, Some("x"), ErrorClass::Permanent)]);
        let own = Verdict::Policy(ErrorClass::Transient, Some(Duration::from_secs(7)));
        assert_eq!(rules.judge(own.clone(), "pay", || "x".to_owned()), own);
        rules.rules[0].always = true;
        let wait = Some(Duration::from_secs(7));
        let forced = Verdict::Policy(ErrorClass::Permanent, wait);
        assert_eq!(rules.judge(own, "pay", || "x".to_owned()), forced);
        for decided in
            [Verdict::DeadLetter, Verdict::Discard, Verdict::Reject(Reject::new("FULL", "x"))]
        {
            assert_eq!(rules.judge(decided.clone(), "pay", || "x".to_owned()), decided);
        }
    }

    #[test]
    fn the_text_of_an_error_is_made_only_for_a_rule_that_wants_it() {
        let unseen = || -> String { panic!("nobody asked for the text") };
        let rules = settings([rule(Some("ship"), Some("x"), ErrorClass::System)]);
        assert_eq!(rules.judge(SILENT, "pay", unseen), SILENT);
        let own = class(ErrorClass::System);
        assert_eq!(rules.judge(own.clone(), "ship", unseen), own);
    }

    #[test]
    fn the_handler_comes_before_the_class_and_never_means_never() {
        let mut policies = RetryPolicies::default();
        policies.system.attempts = 9;
        let own = RetryPolicy::new(2, Backoff::fixed_ms(1));
        assert_eq!(policies.of(ErrorClass::System, None).attempts, 9);
        assert_eq!(policies.of(ErrorClass::System, Some(own)), own);
        for never in [ErrorClass::Invalid, ErrorClass::Permanent] {
            assert_eq!(policies.of(never, Some(own)).attempts, 1);
        }
    }
}
