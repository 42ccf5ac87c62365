//! Several brokers behind one URL: tried in turn, at the boot from the first, after a loss from the
//! one behind the lost one.

use std::time::Duration;

use super::config::AmqpConfig;
use super::connect::{Established, Target};
use super::url::each_url;
use crate::transport::{TransportError, TransportErrorKind};

/// The brokers that a URL names, in its order; at least one.
pub(super) struct Brokers {
    targets: Vec<Target>,
}

impl Brokers {
    /// Reads the URL and the TLS files.
    pub(super) fn new(config: &AmqpConfig) -> Result<Self, TransportError> {
        let targets = each_url(&config.url)
            .map(|url| Target::new(url, config))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = targets.first() else {
            return Err(invalid("the broker's URL is empty"));
        };
        // Queues of another virtual host are other queues: failing over to it would look like loss.
        if let Some(other) = targets.iter().find(|target| target.vhost() != first.vhost()) {
            let text = format!(
                "the broker's URL names two virtual hosts, `{}` at {} and `{}` at {}; brokers that stand in for each other have the same one",
                first.vhost(),
                first.place(),
                other.vhost(),
                other.place()
            );
            return Err(invalid(&text));
        }
        Ok(Self { targets })
    }

    /// Hosts and ports of all, for people.
    pub(super) fn place(&self) -> String {
        self.targets.iter().map(Target::place).collect::<Vec<_>>().join(", ")
    }

    /// How long an attempt at one broker may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.targets.iter().map(Target::connect_timeout).max().unwrap_or_default()
    }

    /// Tries each broker once, beginning at `start`. The error names each with its cause.
    pub(super) async fn establish(
        &self,
        role: &str,
        start: usize,
    ) -> Result<Established, TransportError> {
        let mut failures = Vec::with_capacity(self.targets.len());
        for offset in 0..self.targets.len() {
            let at = (start + offset) % self.targets.len();
            let target = &self.targets[at];
            match target.establish(role).await {
                Ok(connection) => {
                    let (place, vhost) = (target.place().into(), target.vhost().into());
                    return Ok(Established { connection, place, vhost, at });
                }
                Err(error) => failures.push(error),
            }
        }
        Err(summary(failures))
    }
}

/// One error of all attempts. It is transient if trying again can help with any of them.
fn summary(mut failures: Vec<TransportError>) -> TransportError {
    let decisive = failures.iter().position(TransportError::is_transient).unwrap_or(0);
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let kind = failures.get(decisive).map_or(TransportErrorKind::Unreachable, TransportError::kind);
    let causes = failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n- ");
    let text = format!("none of the {} brokers can be used:\n- {causes}", failures.len());
    TransportError::new(kind, text)
}

fn invalid(text: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Invalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: TransportErrorKind, text: &str) -> TransportError {
        TransportError::new(kind, text)
    }

    #[test]
    fn one_broker_that_may_come_back_makes_it_worth_to_try_again() {
        use TransportErrorKind as Kind;
        let refused = || error(Kind::Credentials, "a:1 refused the login");
        let gone = || error(Kind::Unreachable, "b:2 cannot be reached");
        let both = summary(vec![refused(), gone()]);
        assert!(both.is_transient(), "{both}");
        assert!(both.to_string().contains("a:1") && both.to_string().contains("b:2"), "{both}");
        let never = summary(vec![refused(), refused()]);
        assert_eq!(never.kind(), Kind::Credentials);
        assert_eq!(summary(vec![gone()]).to_string(), "b:2 cannot be reached");
    }

    #[test]
    fn brokers_with_different_virtual_hosts_do_not_stand_in_for_each_other() {
        let config = AmqpConfig::new("amqp://u:s3cret@a:1/x,amqp://u:s3cret@b:2/y");
        let error = Brokers::new(&config).err().expect("refused").to_string();
        assert!(error.contains("`x` at a:1") && error.contains("`y` at b:2"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn every_broker_is_named() {
        let config = AmqpConfig::new("amqp://u:p@a:1/x, amqps://u:p@[::1]/x");
        assert_eq!(Brokers::new(&config).expect("valid").place(), "a:1, [::1]:5671");
    }
}
