//! Exchanges: which queues a routing key reaches.

use std::collections::HashMap;

use super::matching::Pattern;
use super::queue::QueueId;
use crate::transport::ExchangeKind;

/// An exchange with its bindings.
#[derive(Debug)]
pub(super) struct Exchange {
    kind: ExchangeKind,
    /// Bindings that need no search: keys of direct exchanges, patterns without a wildcard, and
    /// under the empty key all of a fanout exchange.
    exact: HashMap<String, Vec<QueueId>>,
    patterns: Vec<Wildcard>,
}

#[derive(Debug)]
struct Wildcard {
    text: String,
    pattern: Pattern,
    queue: QueueId,
}

impl Exchange {
    pub(super) fn new(kind: ExchangeKind) -> Self {
        Self { kind, exact: HashMap::new(), patterns: Vec::new() }
    }

    pub(super) const fn kind(&self) -> ExchangeKind {
        self.kind
    }

    /// Binds a queue; binding it the same way again changes nothing.
    pub(super) fn bind(&mut self, text: &str, queue: QueueId) {
        match self.kind {
            ExchangeKind::Fanout => self.bind_exact("", queue),
            ExchangeKind::Direct => self.bind_exact(text, queue),
            ExchangeKind::Topic => {
                let pattern = Pattern::new(text);
                if pattern.is_literal() {
                    self.bind_exact(text, queue);
                } else {
                    self.bind_pattern(text, pattern, queue);
                }
            }
        }
    }

    /// Removes all bindings of a queue.
    pub(super) fn unbind(&mut self, queue: QueueId) {
        self.patterns.retain(|wildcard| wildcard.queue != queue);
        self.exact.retain(|_, queues| {
            queues.retain(|bound| *bound != queue);
            !queues.is_empty()
        });
    }

    /// Adds the queues that the key reaches, each once, in the order in which they were made.
    pub(super) fn route(&self, key: &str, reached: &mut Vec<QueueId>) {
        let key = match self.kind {
            ExchangeKind::Fanout => "",
            ExchangeKind::Direct | ExchangeKind::Topic => key,
        };
        if let Some(queues) = self.exact.get(key) {
            reached.extend_from_slice(queues);
        }
        let matching = self.patterns.iter().filter(|it| it.pattern.matches(key));
        reached.extend(matching.map(|wildcard| wildcard.queue));
        reached.sort_unstable();
        reached.dedup();
    }

    fn bind_exact(&mut self, key: &str, queue: QueueId) {
        let queues = self.exact.entry(key.to_owned()).or_default();
        if !queues.contains(&queue) {
            queues.push(queue);
        }
    }

    fn bind_pattern(&mut self, text: &str, pattern: Pattern, queue: QueueId) {
        let known =
            self.patterns.iter().any(|wildcard| wildcard.queue == queue && wildcard.text == text);
        if !known {
            self.patterns.push(Wildcard { text: text.to_owned(), pattern, queue });
        }
    }
}
