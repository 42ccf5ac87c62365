//! The store in this process: the reference, and what the embedded default keeps its workflows in.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::error::StoreError;
use super::words::{HistoryEvent, Wish};
use super::workflow::{
    Claim, HistoryEntry, Instance, InstanceFilter, LiveVersion, Mail, NewInstance, Save, Saved,
    WAITING_MAX, WorkflowStore, WorkflowVersion, after, due_again, to_millis,
};
use crate::contract::Source;

/// Instances in memory; all clones share them. Ended ones are kept until they are purged.
#[derive(Clone)]
pub struct MemoryStore {
    source: Source,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    instances: HashMap<Uuid, Kept>,
    /// Until when each owner is alive.
    owners: HashMap<String, Timestamp>,
    /// By address and id, in the order in which they came.
    mail: Vec<Letter>,
}

struct Letter {
    mail: Mail,
    is_read: bool,
}

struct Kept {
    instance: Instance,
    history: Vec<HistoryEntry>,
}

impl MemoryStore {
    /// The name in listings.
    pub const NAME: &'static str = "memory";

    /// An empty store with this clock.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, inner: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("instances", &self.lock().instances.len()).finish()
    }
}

impl Letter {
    fn is(&self, address: &str, id: &str) -> bool {
        self.mail.address == address && self.mail.id == id
    }

    fn is_unread(&self, address: &str, id: &str) -> bool {
        !self.is_read && self.is(address, id)
    }
}

impl Kept {
    fn add(&mut self, mut entry: HistoryEntry) {
        entry.seq = self.history.len() as u64 + 1;
        entry.at = to_millis(entry.at);
        entry.took =
            Duration::from_millis(u64::try_from(entry.took.as_millis()).unwrap_or(u64::MAX));
        self.history.push(entry);
    }
}

#[async_trait]
impl WorkflowStore for MemoryStore {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn create(&self, new: &NewInstance) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        if inner.instances.contains_key(&new.id) {
            return Ok(false);
        }
        let mut kept = Kept { instance: Instance::pending(new), history: Vec::new() };
        kept.add(HistoryEntry::new(0, "", HistoryEvent::Started, new.at));
        inner.instances.insert(new.id, kept);
        Ok(true)
    }

    async fn get(&self, id: Uuid) -> Result<Option<Instance>, StoreError> {
        Ok(self.lock().instances.get(&id).map(|kept| kept.instance.clone()))
    }

    async fn claim(&self, id: Uuid, position: u64, owner: &str) -> Result<Claim, StoreError> {
        let now = self.source.now();
        let mut guard = self.lock();
        let Inner { instances, owners, .. } = &mut *guard;
        let Some(Kept { instance, .. }) = instances.get_mut(&id) else { return Ok(Claim::Unknown) };
        if instance.position != position || instance.status.is_end() {
            return Ok(Claim::Elsewhere(instance.clone()));
        }
        let is_alive = |other: &String| owners.get(other).is_some_and(|until| *until > now);
        if instance.owner.as_ref().is_some_and(|other| other != owner && is_alive(other)) {
            return Ok(Claim::Busy);
        }
        instance.owner = Some(owner.to_owned());
        instance.claims += 1;
        Ok(Claim::Taken(instance.clone()))
    }

    async fn save(&self, save: &Save) -> Result<Saved, StoreError> {
        let mut guard = self.lock();
        let Inner { instances, mail, .. } = &mut *guard;
        let Some(kept) = instances.get_mut(&save.id) else { return Ok(Saved::TooLate) };
        let instance = &mut kept.instance;
        if instance.position != save.position || instance.owner.as_deref() != Some(&save.owner) {
            return Ok(Saved::TooLate);
        }
        if let Some((address, id)) = &save.read {
            let Some(letter) = mail.iter_mut().find(|letter| letter.is_unread(address, id)) else {
                return Ok(Saved::MailGone);
            };
            letter.is_read = true;
            letter.mail.body.clear();
        }
        if save.next != save.position {
            instance.claims = 0;
        }
        instance.position = save.next;
        instance.status = save.status;
        instance.book.clone_from(&save.book);
        instance.updated_at = to_millis(save.at);
        instance.due_at = save.due_at.map(to_millis);
        if !save.keep {
            instance.owner = None;
        }
        if save.fulfilled || save.status.is_end() {
            instance.wish = None;
        }
        instance.awaits.clone_from(&save.awaits);
        save.history.iter().cloned().for_each(|entry| kept.add(entry));
        Ok(Saved::Made)
    }

    async fn release(&self, id: Uuid, owner: &str) -> Result<(), StoreError> {
        if let Some(kept) = self.lock().instances.get_mut(&id)
            && kept.instance.owner.as_deref() == Some(owner)
        {
            kept.instance.owner = None;
            kept.instance.claims = kept.instance.claims.saturating_sub(1);
        }
        Ok(())
    }

    async fn renew(&self, owner: &str, lease: Duration) -> Result<(), StoreError> {
        let until = after(self.source.now(), lease);
        self.lock().owners.insert(owner.to_owned(), until);
        Ok(())
    }

    async fn retire(&self, owner: &str) -> Result<(), StoreError> {
        self.lock().owners.remove(owner);
        Ok(())
    }

    async fn wish(
        &self,
        id: Uuid,
        wish: Wish,
        at: Timestamp,
    ) -> Result<Option<Instance>, StoreError> {
        let mut inner = self.lock();
        let Some(Kept { instance, .. }) = inner.instances.get_mut(&id) else { return Ok(None) };
        if !instance.status.is_end() {
            instance.wish = Some(wish);
            instance.due_at = Some(to_millis(at));
        }
        Ok(Some(instance.clone()))
    }

    async fn take_due(
        &self,
        of: &[WorkflowVersion],
        now: Timestamp,
        again: Duration,
        limit: u32,
    ) -> Result<Vec<Instance>, StoreError> {
        let mut inner = self.lock();
        let mut due: Vec<&mut Instance> = inner
            .instances
            .values_mut()
            .map(|kept| &mut kept.instance)
            .filter(|instance| instance.due_at.is_some_and(|due| due <= now))
            .filter(|instance| of.iter().any(|own| is_of(instance, own)))
            .collect();
        due.sort_by_key(|instance| (instance.due_at, instance.id));
        due.truncate(limit as usize);
        let taken = due.into_iter().map(|instance| {
            instance.due_at = Some(due_again(now, instance.updated_at, again));
            instance.clone()
        });
        Ok(taken.collect())
    }

    async fn list(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
        let inner = self.lock();
        let mut found: Vec<&Instance> = inner
            .instances
            .values()
            .map(|kept| &kept.instance)
            .filter(|instance| matches(filter, instance))
            .collect();
        found.sort_by_key(|instance| (std::cmp::Reverse(instance.created_at), instance.id));
        Ok(found.into_iter().take(filter.limit() as usize).cloned().collect())
    }

    async fn history(&self, id: Uuid) -> Result<Vec<HistoryEntry>, StoreError> {
        Ok(self.lock().instances.get(&id).map(|kept| kept.history.clone()).unwrap_or_default())
    }

    async fn live_versions(&self) -> Result<Vec<LiveVersion>, StoreError> {
        let inner = self.lock();
        let mut found: BTreeMap<(&str, u32, &str), (u64, Uuid)> = BTreeMap::new();
        for Kept { instance, .. } in inner.instances.values() {
            if !instance.status.is_end() {
                let key = (&*instance.workflow, instance.version, &*instance.graph);
                let (count, example) = found.entry(key).or_insert((0, instance.id));
                *count += 1;
                *example = instance.id.min(*example);
            }
        }
        let version = |((workflow, version, graph), (count, example)): (_, _)| {
            LiveVersion::new(workflow, version, graph, count, example)
        };
        Ok(found.into_iter().map(version).collect())
    }

    async fn purge(
        &self,
        of: &[String],
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let mut ended: Vec<(Timestamp, Uuid)> = inner
            .instances
            .values()
            .map(|kept| &kept.instance)
            .filter(|instance| instance.status.is_end() && instance.updated_at < ended_before)
            .filter(|instance| of.contains(&instance.workflow))
            .map(|instance| (instance.updated_at, instance.id))
            .collect();
        ended.sort_unstable();
        ended.truncate(limit as usize);
        for (_, id) in &ended {
            inner.instances.remove(id);
        }
        Ok(ended.len() as u64)
    }

    async fn post(&self, mail: &Mail) -> Result<Vec<Instance>, StoreError> {
        let mut inner = self.lock();
        match inner.mail.iter().find(|letter| letter.is(&mail.address, &mail.id)) {
            Some(known) if known.is_read => return Ok(Vec::new()),
            Some(_) => {}
            None => {
                let mail = Mail { at: to_millis(mail.at), ..mail.clone() };
                inner.mail.push(Letter { mail, is_read: false });
            }
        }
        let mut waiting: Vec<Instance> = inner
            .instances
            .values()
            .map(|kept| &kept.instance)
            .filter(|instance| instance.awaits.as_ref() == Some(&mail.address))
            .cloned()
            .collect();
        waiting.sort_by_key(|instance| (instance.created_at, instance.id));
        waiting.truncate(WAITING_MAX);
        Ok(waiting)
    }

    async fn mail(&self, address: &str) -> Result<Option<Mail>, StoreError> {
        let inner = self.lock();
        let found =
            inner.mail.iter().find(|letter| !letter.is_read && letter.mail.address == address);
        Ok(found.map(|letter| letter.mail.clone()))
    }

    async fn purge_mail(
        &self,
        of: &[String],
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let old = |mail: &Mail| mail.at < before && of.contains(&mail.workflow);
        let mut places: Vec<usize> =
            (0..inner.mail.len()).filter(|place| old(&inner.mail[*place].mail)).collect();
        places.sort_by_key(|place| inner.mail[*place].mail.at);
        places.truncate(limit as usize);
        let mut place = 0..;
        inner.mail.retain(|_| place.next().is_none_or(|place| !places.contains(&place)));
        Ok(places.len() as u64)
    }

    async fn close(&self) {}
}

fn is_of(instance: &Instance, own: &WorkflowVersion) -> bool {
    instance.version == own.version && instance.workflow == own.workflow
}

fn matches(filter: &InstanceFilter, instance: &Instance) -> bool {
    (filter.workflows.is_empty() || filter.workflows.contains(&instance.workflow))
        && (filter.statuses.is_empty() || filter.statuses.contains(&instance.status))
        && filter.since.is_none_or(|since| instance.created_at >= since)
        && filter.before.is_none_or(|before| instance.created_at < before)
}
