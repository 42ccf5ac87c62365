//! Declaring: making what is missing, comparing what is there.

use std::fmt::{Debug, Display};

use super::broker::State;
use super::exchange::Exchange;
use super::queue::{Queue, QueueId};
use crate::contract::address::exchanges;
use crate::transport::{self, QueueKind, Topology, TransportError, TransportErrorKind};

impl State {
    /// Makes a topology, or nothing of it.
    pub(super) fn declare(
        &mut self,
        topology: &Topology,
        connection: u64,
    ) -> Result<(), TransportError> {
        self.check_owners(topology, connection)?;
        self.check_arguments(topology)?;
        self.check_bindings(topology)?;
        for exchange in &topology.exchanges {
            self.exchanges
                .entry(exchange.name.clone().into_owned())
                .or_insert_with(|| Exchange::new(exchange.kind));
        }
        for queue in &topology.queues {
            self.make_queue(queue, connection);
        }
        for binding in &topology.bindings {
            let queue = self.names.get(&binding.queue);
            let exchange = self.exchanges.get_mut(&*binding.exchange);
            if let (Some(exchange), Some(queue)) = (exchange, queue) {
                exchange.bind(&binding.pattern, *queue);
            }
        }
        Ok(())
    }

    /// Refuses what only another connection may do.
    pub(super) fn check_owner(&self, id: QueueId, connection: u64) -> Result<(), TransportError> {
        let queue = &self.queues[id];
        if queue.owner.is_none_or(|owner| owner == connection) {
            return Ok(());
        }
        let name = &queue.spec.name;
        Err(TransportError::new(
            TransportErrorKind::Forbidden,
            format!("the queue `{name}` is exclusive and belongs to another connection"),
        ))
    }

    fn make_queue(&mut self, spec: &transport::Queue, connection: u64) {
        if !self.names.contains_key(&spec.name) {
            let owner = (spec.kind == QueueKind::Exclusive).then_some(connection);
            let id = self.queues.insert(Queue::new(spec.clone(), owner));
            self.names.insert(spec.name.clone(), id);
            self.release_stranded(&spec.name);
        }
    }

    fn check_owners(&self, topology: &Topology, connection: u64) -> Result<(), TransportError> {
        topology
            .queues
            .iter()
            .filter_map(|queue| self.names.get(&queue.name))
            .try_for_each(|id| self.check_owner(*id, connection))
    }

    /// Compares with what exists, and the topology with itself; reports all differences at once.
    fn check_arguments(&self, topology: &Topology) -> Result<(), TransportError> {
        let exchanges = topology.exchanges.iter().enumerate();
        let exchanges = exchanges.filter_map(|(at, exchange)| {
            let earlier = topology.exchanges[..at].iter().find(|it| it.name == exchange.name);
            let known = self.exchanges.get(&*exchange.name).map(Exchange::kind);
            let difference = differs("kind", &known.or(earlier.map(|it| it.kind))?, &exchange.kind);
            Some(format!("the exchange `{}` {}", exchange.name, difference?))
        });
        let queues = topology.queues.iter().enumerate();
        let queues = queues.filter_map(|(at, queue)| {
            let earlier = topology.queues[..at].iter().find(|it| it.name == queue.name);
            let known = self.names.get(&queue.name).map(|id| &self.queues[*id].spec);
            let differences = differences(known.or(earlier)?, queue);
            (!differences.is_empty())
                .then(|| format!("the queue `{}` {}", queue.name, differences.join(", ")))
        });
        let all: Vec<String> = exchanges.chain(queues).collect();
        if all.is_empty() {
            return Ok(());
        }
        let text =
            format!("{}; declare it as it exists, or delete what exists first", all.join("; "));
        Err(TransportError::new(TransportErrorKind::Mismatch, text))
    }

    /// Both ends of a binding must exist, now or with this topology.
    fn check_bindings(&self, topology: &Topology) -> Result<(), TransportError> {
        for binding in &topology.bindings {
            let (exchange, queue) = (&binding.exchange, &binding.queue);
            if *exchange == exchanges::DEFAULT {
                return Err(TransportError::new(
                    TransportErrorKind::Forbidden,
                    format!("the queue `{queue}` cannot be bound to the default exchange"),
                ));
            }
            let has_exchange = self.exchanges.contains_key(&**exchange)
                || topology.exchanges.iter().any(|it| it.name == *exchange);
            let has_queue = self.names.contains_key(queue)
                || topology.queues.iter().any(|it| it.name == *queue);
            if !has_exchange {
                return Err(missing_end(queue, "exchange", exchange));
            }
            if !has_queue {
                return Err(missing_end(queue, "queue", queue));
            }
        }
        Ok(())
    }
}

fn missing_end(queue: &str, what: &str, name: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::NotFound,
        format!("the queue `{queue}` cannot be bound: there is no {what} `{name}`"),
    )
}

fn differences(exists: &transport::Queue, declared: &transport::Queue) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let number = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let arguments = [
        differs("kind", &exists.kind, &declared.kind),
        differs_text("dead_letter", &shown(&exists.dead_letter), &shown(&declared.dead_letter)),
        differs_text(
            "max_priority",
            &number(exists.max_priority.map(u64::from)),
            &number(declared.max_priority.map(u64::from)),
        ),
        differs_text("length_max", &number(exists.length_max), &number(declared.length_max)),
        differs_text(
            "delivery_limit",
            &number(exists.delivery_limit.map(u64::from)),
            &number(declared.delivery_limit.map(u64::from)),
        ),
    ];
    arguments.into_iter().flatten().collect()
}

fn differs<T: PartialEq + Debug>(argument: &str, exists: &T, declared: &T) -> Option<String> {
    differs_text(argument, &format!("{exists:?}"), &format!("{declared:?}"))
}

fn differs_text<T: PartialEq + Display>(
    argument: &str,
    exists: &T,
    declared: &T,
) -> Option<String> {
    (exists != declared).then(|| {
        format!("exists with {argument} {exists} and is declared with {argument} {declared}")
    })
}
