//! What is known of every message, and what it proves: nothing lost, nothing that should not be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How a message can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its result event was collected.
    Done,
    /// Its caller was answered, by a message of this type.
    Replied(String),
    /// It was collected from a dead-letter queue, with this reason.
    Parked(String),
    /// The service said that it let it go.
    Discarded,
}

/// Everything about one message.
#[derive(Debug, Default)]
struct Record {
    /// The round in which it was first heard of.
    round: usize,
    attempted: bool,
    confirmed: bool,
    fates: Vec<Fate>,
    /// Ends that were seen again although the collector had them only once.
    duplicates: u64,
    /// Ids of its results. A second one means that a redelivery made up a new id.
    results: BTreeSet<String>,
}

/// Figures of one round.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) attempted: u64,
    pub(super) confirmed: u64,
    pub(super) handled: u64,
    pub(super) parked: u64,
    pub(super) duplicated: u64,
    pub(super) lost: u64,
    pub(super) unexpected: u64,
    /// The first few messages that are lost or unexpected, and why.
    pub(super) examples: Vec<String>,
}

/// How many examples a round shows.
const EXAMPLES_MAX: usize = 8;

/// All messages of a run, and the round that is on.
#[derive(Debug)]
pub(super) struct Ledger {
    records: BTreeMap<String, Record>,
    round: usize,
    /// Faults of the service as such, such as being green and idle.
    incidents: Vec<(usize, String)>,
    last_run: Instant,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { records: BTreeMap::new(), round: 0, incidents: Vec::new(), last_run: Instant::now() }
    }

    /// From here on, what is new belongs to the next round.
    pub(super) fn next_round(&mut self) -> usize {
        self.round += 1;
        self.round
    }

    fn record(&mut self, id: &str) -> &mut Record {
        let round = self.round;
        self.records.entry(id.to_owned()).or_insert_with(|| Record { round, ..Record::default() })
    }

    /// A publisher is about to send it.
    pub(super) fn attempted(&mut self, id: &str) {
        self.record(id).attempted = true;
    }

    /// The broker has confirmed it.
    pub(super) fn confirmed(&mut self, id: &str) {
        self.record(id).confirmed = true;
    }

    /// A handler began.
    pub(super) fn ran(&mut self) {
        self.last_run = Instant::now();
    }

    pub(super) const fn last_run(&self) -> Instant {
        self.last_run
    }

    /// An end was seen. `again`: the broker gave it to the collector before, so it may be the same one.
    pub(super) fn ended(&mut self, id: &str, fate: Fate, again: bool) {
        let told = Fate::Replied("ErrorReply".to_owned());
        let record = self.record(id);
        // Whoever asked is told of what was parked or let go: a word about the end, which is seen elsewhere. A
        // message of which there is nothing but this word has not ended.
        if fate == told && matches!(expected(id), Some(Fate::Parked(_) | Fate::Discarded)) {
            return;
        }
        if !record.fates.is_empty() && !again {
            record.duplicates += 1;
        }
        if !record.fates.contains(&fate) {
            record.fates.push(fate);
        }
    }

    /// The id of a result.
    pub(super) fn result(&mut self, id: &str, message_id: &str) {
        self.record(id).results.insert(message_id.to_owned());
    }

    /// Something that no message is to blame for.
    pub(super) fn incident(&mut self, what: impl Into<String>) {
        self.incidents.push((self.round, what.into()));
    }

    /// The rounds so far, from 0.
    pub(super) const fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.round
    }

    /// Messages of a round that the broker has confirmed and that have not ended.
    pub(super) fn open(&self, round: usize) -> usize {
        self.of(round).filter(|(_, record)| record.confirmed && record.fates.is_empty()).count()
    }

    /// Messages of a round that have ended.
    pub(super) fn ended_in(&self, round: usize) -> usize {
        self.of(round).filter(|(_, record)| !record.fates.is_empty()).count()
    }

    fn of(&self, round: usize) -> impl Iterator<Item = (&String, &Record)> {
        self.records.iter().filter(move |(_, record)| record.round == round)
    }

    /// The figures of a round, once nothing more is expected.
    pub(super) fn tally(&self, round: usize) -> Tally {
        let mut tally = Tally::default();
        for (id, record) in self.of(round) {
            tally.add(id, record);
        }
        for (_, what) in self.incidents.iter().filter(|(when, _)| *when == round) {
            tally.unexpected += 1;
            tally.show(what.clone());
        }
        tally
    }
}

impl Tally {
    fn add(&mut self, id: &str, record: &Record) {
        self.attempted += u64::from(record.attempted);
        self.confirmed += u64::from(record.confirmed);
        self.duplicated += record.duplicates;
        let parked = record.fates.iter().any(|fate| matches!(fate, Fate::Parked(_)));
        self.parked += u64::from(parked);
        self.handled += u64::from(!parked && !record.fates.is_empty());
        if record.confirmed && record.fates.is_empty() {
            self.lost += 1;
            self.show(format!("lost: {id}"));
        }
        if let Some(why) = contradiction(id, record) {
            self.unexpected += 1;
            self.show(format!("unexpected: {id}: {why}"));
        }
    }

    fn show(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }

    /// Adds the figures of another round.
    pub(super) fn absorb(&mut self, other: Self) {
        self.attempted += other.attempted;
        self.confirmed += other.confirmed;
        self.handled += other.handled;
        self.parked += other.parked;
        self.duplicated += other.duplicated;
        self.lost += other.lost;
        self.unexpected += other.unexpected;
        other.examples.into_iter().for_each(|example| self.show(example));
    }

    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.unexpected == 0
    }
}

/// Why what happened to a message cannot be right.
fn contradiction(id: &str, record: &Record) -> Option<String> {
    if record.fates.is_empty() {
        return None;
    }
    if !record.attempted {
        return Some(format!("it was never published, and ended as {:?}", record.fates));
    }
    if record.results.len() > 1 {
        return Some(format!(
            "its result has {} ids; a redelivery derives one",
            record.results.len()
        ));
    }
    let expected = expected(id);
    let wrong = record.fates.iter().find(|fate| Some(*fate) != expected.as_ref())?;
    Some(format!("it ended as {wrong:?}, and its wish allows {expected:?}"))
}

/// The only end that a message allows, by the wish at the end of its id (`..kind.wish`).
fn expected(id: &str) -> Option<Fate> {
    let mut words = id.rsplit('.');
    let (wish, kind) = (words.next()?, words.next()?);
    let parked = |reason: &str| Some(Fate::Parked(reason.to_owned()));
    match wish {
        "ok" | "slow" | "hang" | "flaky1" | "flaky3" if kind == "ask" => {
            Some(Fate::Replied("Answer".to_owned()))
        }
        "ok" | "slow" | "hang" | "flaky1" | "flaky3" => Some(Fate::Done),
        "reject" => Some(Fate::Replied("ErrorReply".to_owned())),
        "discard" => Some(Fate::Discarded),
        "always" => parked("retries_exhausted"),
        "panic" => parked("panic"),
        "overrun" => parked("timeout"),
        "notjson" => parked("not_json"),
        "unknown" => parked("unknown_type"),
        "schema" => parked("schema_violation"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(ids: &[&str]) -> Ledger {
        let mut ledger = Ledger::new();
        for id in ids {
            ledger.attempted(id);
            ledger.confirmed(id);
        }
        ledger
    }

    #[test]
    fn what_was_confirmed_and_has_no_end_is_lost() {
        let mut ledger = published(&["1.0.work.ok", "1.1.work.always"]);
        ledger.attempted("1.2.work.ok");
        assert_eq!(ledger.open(0), 2);
        ledger.ended("1.0.work.ok", Fate::Done, false);
        let tally = ledger.tally(0);
        assert_eq!((tally.attempted, tally.confirmed, tally.handled), (3, 2, 1));
        assert_eq!((tally.lost, tally.unexpected), (1, 0));
        assert_eq!(tally.examples, ["lost: 1.1.work.always"]);
        assert!(!tally.is_clean());
    }

    #[test]
    fn an_end_that_the_wish_does_not_allow_is_unexpected() {
        for (id, fate) in [
            ("1.0.work.ok", Fate::Parked("retries_exhausted".to_owned())),
            ("1.0.work.always", Fate::Done),
            ("1.0.work.panic", Fate::Parked("retries_exhausted".to_owned())),
            ("1.0.ask.ok", Fate::Replied("ErrorReply".to_owned())),
            ("1.0.work.discard", Fate::Done),
        ] {
            let mut ledger = published(&[id]);
            ledger.ended(id, fate, false);
            let tally = ledger.tally(0);
            assert_eq!((tally.lost, tally.unexpected), (0, 1), "{id}");
        }
    }

    #[test]
    fn a_word_about_what_was_parked_is_neither_an_end_nor_a_second_one() {
        let mut ledger = published(&["1.0.ask.always"]);
        let told = || Fate::Replied("ErrorReply".to_owned());
        ledger.ended("1.0.ask.always", told(), false);
        assert_eq!((ledger.open(0), ledger.tally(0).lost), (1, 1));
        ledger.ended("1.0.ask.always", Fate::Parked("retries_exhausted".to_owned()), false);
        ledger.ended("1.0.ask.always", told(), false);
        let tally = ledger.tally(0);
        assert!(tally.is_clean());
        assert_eq!((tally.parked, tally.duplicated), (1, 0));
        ledger.ended("1.0.ask.always", Fate::Replied("Answer".to_owned()), false);
        assert_eq!(ledger.tally(0).unexpected, 1);
    }

    #[test]
    fn a_second_end_of_another_kind_is_unexpected_although_the_first_was_right() {
        let mut ledger = published(&["1.0.work.ok"]);
        ledger.ended("1.0.work.ok", Fate::Done, false);
        ledger.ended("1.0.work.ok", Fate::Parked("panic".to_owned()), false);
        assert_eq!(ledger.tally(0).unexpected, 1);
    }

    #[test]
    fn an_end_without_a_beginning_and_a_result_with_two_ids_are_unexpected() {
        let mut ledger = published(&["1.0.work.ok"]);
        ledger.ended("9.9.work.ok", Fate::Done, false);
        assert_eq!(ledger.tally(0).unexpected, 1);
        ledger.ended("1.0.work.ok", Fate::Done, false);
        ledger.result("1.0.work.ok", "a");
        ledger.result("1.0.work.ok", "a");
        assert_eq!(ledger.tally(0).unexpected, 1);
        ledger.result("1.0.work.ok", "b");
        assert_eq!(ledger.tally(0).unexpected, 2);
    }

    #[test]
    fn a_duplicate_is_reported_and_is_no_failure() {
        let mut ledger = published(&["1.0.work.ok"]);
        ledger.ended("1.0.work.ok", Fate::Done, false);
        ledger.ended("1.0.work.ok", Fate::Done, false);
        // The collector may have had this one before.
        ledger.ended("1.0.work.ok", Fate::Done, true);
        let tally = ledger.tally(0);
        assert!(tally.is_clean());
        assert_eq!(tally.duplicated, 1);
    }

    #[test]
    fn rounds_are_counted_apart() {
        let mut ledger = published(&["1.0.work.ok"]);
        let round = ledger.next_round();
        ledger.attempted("2.0.work.ok");
        ledger.ended("1.0.work.ok", Fate::Done, false);
        ledger.incident("green and idle");
        assert_eq!(ledger.tally(0).handled, 1);
        assert_eq!(ledger.tally(0).unexpected, 0);
        let second = ledger.tally(round);
        assert_eq!((second.attempted, second.unexpected), (1, 1));
    }
}
