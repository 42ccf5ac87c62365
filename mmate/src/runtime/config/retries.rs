//! `[retry.classes.*]` and `[[retry.rules]]`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Config, ConfigError};
use crate::publish::IntoDuration;
use crate::reliability::{
    Backoff, ErrorClass, RetryPolicies, RetryPolicy, RetryRule, RetrySettings,
};

/// More rules than this are a mistake; every failure looks at all of them.
const RULES_MAX: usize = 1_000;

const BACKOFF_HELP: &str = "write `exponential(1s, 1m)`, `linear(1s, 30s)` or `fixed(10s)`";
const CLASS_HELP: &str = "write `transient`, `throttle`, `system`, `invalid` or `permanent`";

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    handler: Option<String>,
    error: Option<String>,
    class: String,
    #[serde(default)]
    always: bool,
}

pub(super) fn read(config: &Config, errors: &mut Vec<ConfigError>) -> RetrySettings {
    let built_in = RetryPolicies::BUILT_IN;
    let mut read = Reader { config, errors };
    let policies = RetryPolicies {
        transient: read.class("transient", built_in.transient),
        throttle: read.class("throttle", built_in.throttle),
        system: read.class("system", built_in.system),
        unknown: read.class("unknown", built_in.unknown),
    };
    RetrySettings { policies, rules: read.rules() }
}

struct Reader<'a> {
    config: &'a Config,
    errors: &'a mut Vec<ConfigError>,
}

impl Reader<'_> {
    /// A class: each part that is not set is that of the built-in policy.
    fn class(&mut self, class: &str, mut policy: RetryPolicy) -> RetryPolicy {
        let key = |part: &str| format!("retry.classes.{class}.{part}");
        if let Some(attempts) = self.find::<u32>(&key("attempts")) {
            if attempts == 0 {
                self.wrong(
                    &key("attempts"),
                    "it is 0; the first attempt counts, so 1 means no retry",
                );
            }
            policy.attempts = attempts.max(1);
        }
        if let Some(text) = self.find::<String>(&key("backoff")) {
            match backoff(&text) {
                Ok(backoff) => policy.backoff = backoff,
                Err(why) => self.wrong(&key("backoff"), &why),
            }
        }
        if let Some(jitter) = self.find::<f64>(&key("jitter")) {
            if (0.0..=1.0).contains(&jitter) {
                policy.jitter = jitter;
            } else {
                self.wrong(&key("jitter"), "it is a part of the wait, from 0 to 1: 0.2 is 20 %");
            }
        }
        policy
    }

    fn rules(&mut self) -> Vec<RetryRule> {
        let tables: Vec<toml::Table> = self.find("retry.rules").unwrap_or_default();
        if tables.len() > RULES_MAX {
            self.wrong("retry.rules", &format!("there are over {RULES_MAX} rules"));
        }
        let mut rules = Vec::new();
        for (index, table) in tables.into_iter().enumerate() {
            match rule(table) {
                Ok(rule) => rules.push(rule),
                Err(why) => self.wrong("retry.rules", &format!("rule {}: {why}", index + 1)),
            }
        }
        rules
    }

    fn find<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        self.config.find(key).unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
    }

    fn wrong(&mut self, key: &str, why: &str) {
        let origin = self.config.origin(key).unwrap_or("nowhere");
        self.errors.push(ConfigError::wrong(key, format!("from {origin}: {why}")));
    }
}

fn rule(table: toml::Table) -> Result<RetryRule, String> {
    let written: Written = table.try_into().map_err(|error: toml::de::Error| {
        format!(
            "{}; a rule has `class`, and `handler`, `error` and `always` if it wants",
            error.message()
        )
    })?;
    let class = match written.class.as_str() {
        "transient" => ErrorClass::Transient,
        "throttle" => ErrorClass::Throttle,
        "system" => ErrorClass::System,
        "invalid" => ErrorClass::Invalid,
        "permanent" => ErrorClass::Permanent,
        other => return Err(format!("there is no class `{other}`; {CLASS_HELP}")),
    };
    let empty = |text: &Option<String>| text.as_deref().is_some_and(str::is_empty);
    if empty(&written.handler) || empty(&written.error) {
        return Err("an empty text fits everything; leave the key out".to_owned());
    }
    if written.handler.is_none() && written.error.is_none() {
        let help =
            "to change what holds for all errors that say nothing, set `retry.classes.unknown`";
        return Err(format!("it names neither a `handler` nor an `error`; {help}"));
    }
    let mut rule = RetryRule::new(class);
    (rule.handler, rule.error, rule.always) = (written.handler, written.error, written.always);
    Ok(rule)
}

/// `exponential(1s, 1m)`, also with quotes around the waits, as the attribute has them.
fn backoff(text: &str) -> Result<Backoff, String> {
    let wrong = || format!("`{text}` is no backoff; {BACKOFF_HELP}");
    let (name, rest) = text.trim().split_once('(').ok_or_else(wrong)?;
    let inside = rest.trim_end().strip_suffix(')').ok_or_else(wrong)?;
    let waits: Vec<u64> = inside.split(',').map(millis).collect::<Result<_, _>>()?;
    match (name.trim(), waits.as_slice()) {
        ("fixed", [wait]) => Ok(Backoff::fixed_ms(*wait)),
        ("linear" | "exponential", [first, cap]) if first > cap => {
            Err(format!("`{text}`: the longest wait is shorter than the first; {BACKOFF_HELP}"))
        }
        ("linear", [step, cap]) => Ok(Backoff::linear_ms(*step, *cap)),
        ("exponential", [base, cap]) => Ok(Backoff::exponential_ms(*base, *cap)),
        _ => Err(wrong()),
    }
}

fn millis(text: &str) -> Result<u64, String> {
    let wait = text.trim().trim_matches('"').into_duration()?;
    u64::try_from(wait.as_millis()).map_err(|_| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Settings;

    fn config(file: &str) -> Result<Config, Vec<ConfigError>> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mmate-retries-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, file).unwrap();
        let service = crate::runtime::ServiceInfo::new("orders", "1.0.0");
        let config = crate::runtime::config::Loader::of_file(service, path.clone()).load();
        std::fs::remove_file(path).unwrap();
        config
    }

    fn mistakes(file: &str) -> String {
        let wrong = match config(file) {
            Ok(config) => Settings::from_config(&config).unwrap_err(),
            Err(wrong) => wrong,
        };
        wrong.iter().map(|error| format!("{error}\n")).collect()
    }

    #[test]
    fn a_class_changes_what_it_says_and_keeps_the_rest() {
        let file = "[retry.classes.transient]\nattempts = 8\nbackoff = \"exponential(1s, 1m)\"\njitter = 0.2\n\
                    [retry.classes.unknown]\nbackoff = 'linear(\"100ms\", \"2s\")'\n";
        let settings = Settings::from_config(&config(file).unwrap()).unwrap();
        let policies = settings.retry.policies;
        let expected = RetryPolicy::new(8, Backoff::exponential_ms(1_000, 60_000)).jitter(0.2);
        assert_eq!(policies.transient, expected);
        assert_eq!(policies.unknown, RetryPolicy::new(3, Backoff::linear_ms(100, 2_000)));
        assert_eq!(policies.throttle, RetryPolicies::BUILT_IN.throttle);
        assert!(settings.retry.rules.is_empty());
    }

    #[test]
    fn rules_are_read_in_order() {
        let file = "[[retry.rules]]\nhandler = \"pay\"\nerror = \"timed out\"\nclass = \"transient\"\nalways = true\n\
                    [[retry.rules]]\nerror = \"no such card\"\nclass = \"permanent\"\n";
        let rules = Settings::from_config(&config(file).unwrap()).unwrap().retry.rules;
        let mut first = RetryRule::new(ErrorClass::Transient);
        first.handler = Some("pay".to_owned());
        first.error = Some("timed out".to_owned());
        first.always = true;
        let mut second = RetryRule::new(ErrorClass::Permanent);
        second.error = Some("no such card".to_owned());
        assert_eq!(rules, [first, second]);
    }

    #[test]
    fn each_mistake_is_named_with_key_and_place() {
        for (file, key, text) in [
            (
                "[retry.classes.transient]\nattempts = 0\n",
                "retry.classes.transient.attempts",
                "it is 0",
            ),
            (
                "[retry.classes.system]\nattempts = \"many\"\n",
                "retry.classes.system.attempts",
                "is not a whole number",
            ),
            (
                "[retry.classes.system]\nbackoff = \"soon\"\n",
                "retry.classes.system.backoff",
                "`soon` is no backoff",
            ),
            (
                "[retry.classes.system]\nbackoff = \"fixed(1s, 2s)\"\n",
                "retry.classes.system.backoff",
                "is no backoff",
            ),
            (
                "[retry.classes.system]\nbackoff = \"linear(x, 2s)\"\n",
                "retry.classes.system.backoff",
                "`x` is not a duration",
            ),
            (
                "[retry.classes.system]\nbackoff = \"linear(3s, 2s)\"\n",
                "retry.classes.system.backoff",
                "shorter than the first",
            ),
            (
                "[retry.classes.throttle]\njitter = 1.5\n",
                "retry.classes.throttle.jitter",
                "from 0 to 1",
            ),
            (
                "[[retry.rules]]\nerror = \"x\"\nclass = \"sometimes\"\n",
                "retry.rules",
                "rule 1: there is no class `sometimes`",
            ),
            ("[[retry.rules]]\nerror = \"x\"\n", "retry.rules", "rule 1: missing field `class`"),
            ("[[retry.rules]]\nclass = \"system\"\n", "retry.rules", "rule 1: it names neither"),
            (
                "[[retry.rules]]\nerror = \"\"\nclass = \"system\"\n",
                "retry.rules",
                "rule 1: an empty text",
            ),
            (
                "[[retry.rules]]\ntype = \"E\"\nclass = \"system\"\n",
                "retry.rules",
                "rule 1: unknown field `type`",
            ),
        ] {
            let found = mistakes(file);
            assert!(found.contains(&format!("configuration `{key}`: ")), "{file}{found}");
            assert!(found.contains(text) && found.contains("mmate-retries-"), "{file}{found}");
        }
    }

    #[test]
    fn what_is_never_retried_has_no_policy() {
        for class in ["invalid", "permanent"] {
            let found = mistakes(&format!("[retry.classes.{class}]\nattempts = 3\n"));
            let text = format!(
                "`retry.classes.{class}.attempts`: errors of class `{class}` are never retried"
            );
            assert!(found.contains(&text), "{found}");
        }
        assert!(
            mistakes("[retry]\nattempts = 3\n").contains("`retry.attempts`: there is no such key")
        );
    }
}
