//! The handlers behind a workflow's queues: consumers, limits, retries and shutdown are those of every handler.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::definition::StageEntry;
use super::graph::Graph;
use super::hear;
use super::message::{ANY_INFO, STAGE_INFO, UNDO_INFO};
use super::run;
use crate::contract::{Location, MessageInfo};
use crate::dispatch::ANY_TYPE;
use crate::handler::{HandlerEntry, Requirements};
use crate::reliability::{Backoff, RetryPolicy};

/// How many stages of one kind run at a time if nothing is said, per process; the family's figure.
const CONCURRENCY: u16 = 10;

/// What a delivery may take beside the stage itself: the store, and confirms during an outage of the broker.
const BESIDE: Duration = Duration::from_secs(120);

/// What goes wrong beside the stage is not the stage's fault: the message is tried until it goes right.
const FOREVER: RetryPolicy = RetryPolicy::new(u32::MAX, Backoff::exponential_ms(1_000, 30_000));

/// Something whose parameters need values: for the list of what is missing.
#[derive(Debug)]
pub(crate) struct Need {
    /// Whose they are.
    pub(crate) user: String,
    /// Collects them.
    pub(crate) requires: fn(&mut Requirements),
}

impl Graph {
    /// The handlers of the workflow's queues. They are made once per process, since handlers are never unmade.
    ///
    /// Those of `elsewhere`, named like `order-processing.ship`, are left to siblings, queue and all.
    pub(crate) fn handlers(
        &self,
        stage_timeout: Duration,
        elsewhere: &[String],
    ) -> Vec<&'static HandlerEntry> {
        type Key = (usize, Duration);
        static MADE: Mutex<BTreeMap<Key, &'static [HandlerEntry]>> = Mutex::new(BTreeMap::new());

        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (std::ptr::from_ref(self.entry) as usize, stage_timeout);
        let entries = made.entry(key).or_insert_with(|| self.make_handlers(stage_timeout).leak());
        entries.iter().filter(|entry| !elsewhere.iter().any(|name| name == entry.name)).collect()
    }

    fn make_handlers(&self, stage_timeout: Duration) -> Vec<HandlerEntry> {
        let longest = |stages: &mut dyn Iterator<Item = &'static StageEntry>| {
            stages
                .map(|stage| stage.timeout_ms.map_or(stage_timeout, Duration::from_millis))
                .max()
                .unwrap_or(stage_timeout)
        };
        let mut entries: Vec<HandlerEntry> = (0..self.steps.len())
            .map(|step| {
                let stages = self.stages_of(step);
                let limit = longest(&mut stages.iter().map(|index| self.stage(*index)));
                let line = stages.first().map_or(0, |index| self.stage(*index).line);
                let docs = stages.first().map_or("", |index| self.stage(*index).docs);
                let name = self.name(step);
                self.handler(name, line, &STAGE_INFO, &self.queues[step], limit).docs(docs)
            })
            .collect();
        let line = self.entry.location.line;
        let events = self.events().into_iter();
        entries.extend(events.map(|info| self.mail_handler(info, &self.event_queue, line)));
        if self.asks() {
            let replies = self.mail_handler(&ANY_INFO, &self.reply_queue, line).unbound();
            entries.push(replies);
        }
        if self.can_undo() {
            let limit = longest(&mut self.entry.stages.iter());
            entries.push(self.handler("compensation", line, &UNDO_INFO, &self.undo_queue, limit));
        }
        entries
    }

    fn mail_handler(&self, info: &'static MessageInfo, queue: &str, line: u32) -> HandlerEntry {
        let name: &'static str = match info.name {
            ANY_TYPE => format!("{}.replies", self.entry.id).leak(),
            event => format!("{}.{event}", self.entry.id).leak(),
        };
        let location = Location { line, ..self.entry.location };
        HandlerEntry::new(name, location, info, |_| (), hear::start)
            .queue(queue.to_owned().leak())
            .retry(FOREVER)
    }

    fn handler(
        &self,
        name: &str,
        line: u32,
        info: &'static MessageInfo,
        queue: &str,
        limit: Duration,
    ) -> HandlerEntry {
        let name: &'static str = format!("{}.{name}", self.entry.id).leak();
        let location = Location { line, ..self.entry.location };
        let limit = u64::try_from((limit + BESIDE).as_millis()).unwrap_or(u64::MAX);
        HandlerEntry::new(name, location, info, |_| (), run::start)
            .queue(queue.to_owned().leak())
            .unbound()
            .timeout_ms(limit)
            .concurrency(self.entry.concurrency.unwrap_or(CONCURRENCY))
            .retry(FOREVER)
    }

    /// What the stages and compensations need.
    pub(crate) fn needs(&self) -> Vec<Need> {
        let id = self.entry.id;
        let place = |stage: &StageEntry| Location { line: stage.line, ..self.entry.location };
        let mut needs = Vec::new();
        for stage in self.entry.stages {
            let user = format!("stage `{}` of workflow `{id}`\n{}", stage.name, place(stage));
            needs.push(Need { user, requires: stage.requires });
            if let Some(undo) = stage.undo {
                let user = format!(
                    "`{}`, which undoes stage `{}` of workflow `{id}`\n{}",
                    undo.name,
                    stage.name,
                    place(stage)
                );
                needs.push(Need { user, requires: undo.requires });
            }
        }
        needs
    }
}
