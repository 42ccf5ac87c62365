//! A queue: messages that wait, by priority and then by age.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::consumer::ConsumerId;
use super::slots::Id;
use crate::contract::address::Address;
use crate::transport::{self, Properties};

pub(super) type QueueId = Id<Queue>;

/// What was published, shared by all queues that took it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) address: Address,
    pub(super) properties: Properties,
    pub(super) body: Bytes,
}

/// A copy of a message in one queue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Grows with every copy that the broker takes in. It is the place in the queue, which a message
    /// keeps when it comes back.
    pub(super) position: u64,
    /// How often it was given to a consumer and came back.
    pub(super) deliveries: u32,
    pub(super) expires: Option<Instant>,
    pub(super) content: Arc<Content>,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// As it was declared.
    pub(super) spec: transport::Queue,
    /// The connection that an exclusive queue belongs to.
    pub(super) owner: Option<u64>,
    /// Active consumers; the one at the front is served next.
    pub(super) rotation: VecDeque<ConsumerId>,
    /// How many more deliveries all active consumers together may hold.
    pub(super) credit: usize,
    /// One lane for every priority, each ordered by position.
    lanes: Vec<VecDeque<Message>>,
    ready: usize,
}

impl Message {
    pub(super) fn is_expired(&self, now: impl FnOnce() -> Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now())
    }
}

impl Queue {
    pub(super) fn new(spec: transport::Queue, owner: Option<u64>) -> Self {
        let lanes = usize::from(spec.max_priority.unwrap_or(0)) + 1;
        Self {
            spec,
            owner,
            rotation: VecDeque::new(),
            credit: 0,
            lanes: std::iter::repeat_with(VecDeque::new).take(lanes).collect(),
            ready: 0,
        }
    }

    /// How many messages wait.
    pub(super) const fn ready(&self) -> usize {
        self.ready
    }

    /// The messages that wait, in the order in which they would be delivered.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Message> {
        self.lanes.iter().rev().flatten()
    }

    /// The lane of a message: its priority, as far as the queue distinguishes priorities.
    pub(super) fn lane_of(&self, message: &Message) -> usize {
        let priority = message.content.properties.priority.unwrap_or(0);
        usize::from(priority).min(self.lanes.len() - 1)
    }

    /// Puts a message at its place: at the end if it is new, among its elders if it came back.
    pub(super) fn insert(&mut self, message: Message) {
        let at = self.lane_of(&message);
        let lane = &mut self.lanes[at];
        self.ready += 1;
        if lane.back().is_none_or(|last| last.position < message.position) {
            lane.push_back(message);
        } else {
            let place = lane.partition_point(|other| other.position < message.position);
            lane.insert(place, message);
        }
    }

    /// Takes the message that is to be delivered next.
    pub(super) fn take_first(&mut self) -> Option<Message> {
        let message = self.lanes.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.ready -= 1;
        Some(message)
    }

    /// Takes the message at a position.
    pub(super) fn take_at(&mut self, lane: usize, position: u64) -> Option<Message> {
        let lane = &mut self.lanes[lane];
        let place = lane.binary_search_by_key(&position, |message| message.position).ok()?;
        self.ready -= 1;
        lane.remove(place)
    }
}
