//! Broken stores: each is the store in this process with one defect.
//!
//! In: a [`Fault`]. Out: a store that has it. The suite's own tests call this, to show that each behaviour can fail,
//! and fails for a reason that points at the defect.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::faults::Fault;
use crate::contract::Source;
use crate::store::{
    Claim, HistoryEntry, HistoryEvent, Instance, InstanceFilter, LiveVersion, Mail, MemoryStore,
    NewInstance, Save, Saved, StoreError, Wish, WorkflowStatus, WorkflowStore, WorkflowVersion,
};

#[derive(Debug)]
struct Faulty {
    fault: Fault,
    inner: Mutex<MemoryStore>,
    source: Source,
    /// Shared by all stores of a run.
    known: Arc<Mutex<Known>>,
    /// The owners that were said to be alive here.
    own: Mutex<HashSet<String>>,
}

/// What a store with a defect remembers beside the store without.
#[derive(Debug, Default)]
struct Known {
    created: HashSet<Uuid>,
    owners: HashSet<String>,
    wishes: HashMap<Uuid, Wish>,
    mail: Vec<Mail>,
    removed: Vec<Mail>,
    read: HashSet<(String, String)>,
    given: Vec<Instance>,
}

type Opened = Result<Arc<dyn WorkflowStore>, StoreError>;

/// Stores with the same data and the same defect.
pub(super) fn open(fault: Fault) -> impl Fn() -> std::future::Ready<Opened> {
    let began = tokio::time::Instant::now();
    let source = Source::seeded(1, move || began.elapsed());
    let (store, known) = (MemoryStore::new(source.clone()), Arc::default());
    move || {
        let private = fault == Fault::Private;
        let inner = if private { MemoryStore::new(source.clone()) } else { store.clone() };
        let store = Faulty {
            fault,
            inner: Mutex::new(inner),
            source: source.clone(),
            known: Arc::clone(&known),
            own: Mutex::default(),
        };
        std::future::ready(Ok(Arc::new(store) as Arc<dyn WorkflowStore>))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(1000).collect()
}

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn inner(&self) -> MemoryStore {
        lock(&self.inner).clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// An instance as a reader with this defect sees it.
    fn seen(&self, mut instance: Instance) -> Instance {
        let second = SignedDuration::from_secs(1);
        match self.fault {
            Fault::AsciiOnly => instance.book = ascii(&instance.book),
            Fault::LimitsTexts => instance.book = cut(&instance.book),
            Fault::DueTooEarly => instance.due_at = instance.due_at.map(|due| due - second),
            Fault::CountsClaimsForever if instance.position > 0 => instance.claims += 1,
            Fault::ForgetsClaims if instance.updated_at != instance.created_at => {
                instance.claims = 0;
            }
            Fault::KeepsWishes if instance.status.is_end() => {
                instance.wish = self.known().wishes.get(&instance.id).copied();
            }
            _ => {}
        }
        instance
    }

    /// Of what there are instances.
    async fn versions(&self) -> Result<Vec<WorkflowVersion>, StoreError> {
        let all = InstanceFilter { limit: Some(u32::MAX), ..InstanceFilter::default() };
        let found = self.inner().list(&all).await?;
        let version = |it: &Instance| WorkflowVersion::new(&it.workflow, it.version);
        Ok(found.iter().map(version).collect())
    }

    /// What is due of what a taker with this defect takes for its own.
    async fn due_of(
        &self,
        of: &[WorkflowVersion],
        now: Timestamp,
        again: Duration,
        limit: u32,
    ) -> Result<Vec<Instance>, StoreError> {
        let inner = self.inner();
        let mut all = self.versions().await?;
        match self.fault {
            Fault::TakesOfAnyWorkflow => {
                all.retain(|it| of.iter().any(|own| own.version == it.version));
            }
            Fault::TakesOfAnyVersion => {
                all.retain(|it| of.iter().any(|own| own.workflow == it.workflow));
            }
            Fault::OthersTakePlaces => {
                let mut taken = inner.take_due(&all, now, again, limit).await?;
                taken.retain(|it| of.iter().any(|own| own.workflow == it.workflow));
                return Ok(taken);
            }
            Fault::TakesByWorkflow => {
                let mut taken = Vec::new();
                for own in of {
                    taken.extend(
                        inner.take_due(std::slice::from_ref(own), now, again, limit).await?,
                    );
                }
                taken.truncate(limit as usize);
                return Ok(taken);
            }
            Fault::NobodyTakesAll if of.is_empty() => {}
            _ => all = of.to_vec(),
        }
        inner.take_due(&all, now, again, limit).await
    }

    async fn before_claim(&self, id: Uuid, owner: &str) -> Result<(), StoreError> {
        let current = self.inner().get(id).await?.and_then(|instance| instance.owner);
        let Some(current) = current else { return Ok(()) };
        let stranger = !lock(&self.own).contains(&current);
        if self.has(Fault::Steals) || self.has(Fault::OwnersPerStore) && stranger {
            self.inner().retire(&current).await?;
        }
        if self.has(Fault::SilentIsAlive) && current != owner {
            self.inner().renew(&current, Duration::from_secs(600)).await?;
        }
        Ok(())
    }

    fn after_claim(&self, claim: Claim, owner: &str) -> Claim {
        match (self.fault, claim) {
            (Fault::ClaimTouches, Claim::Taken(mut taken)) => {
                taken.updated_at += SignedDuration::from_secs(1);
                Claim::Taken(taken)
            }
            (Fault::NoSecondClaim, Claim::Taken(taken)) if taken.claims > 1 => Claim::Busy,
            (Fault::CountsOneClaim, Claim::Taken(mut taken)) => {
                taken.claims = 1;
                Claim::Taken(taken)
            }
            (Fault::ClaimsEnded, Claim::Elsewhere(mut ended)) if ended.status.is_end() => {
                ended.owner = Some(owner.to_owned());
                Claim::Taken(ended)
            }
            (Fault::StuckIsEnd, Claim::Taken(stuck)) if stuck.status == WorkflowStatus::Stuck => {
                Claim::Elsewhere(stuck)
            }
            (Fault::UnknownIsBusy, Claim::Unknown) => Claim::Busy,
            (_, claim) => claim,
        }
    }

    /// What is saved instead.
    fn instead(&self, save: &Save, current: Option<&Instance>) -> Save {
        let mut save = save.clone();
        match self.fault {
            Fault::ForgetsAwaits => save.awaits = None,
            Fault::KeepsAwaits if save.awaits.is_none() => {
                save.awaits = current.and_then(|current| current.awaits.clone());
            }
            Fault::SavesFromAnywhere => {
                save.position = current.map_or(save.position, |current| current.position);
            }
            Fault::SavesForAnybody => {
                let owner = current.and_then(|current| current.owner.clone());
                save.owner = owner.unwrap_or(save.owner);
            }
            Fault::AlwaysFrees => save.keep = false,
            Fault::NeverFrees => save.keep = true,
            Fault::ReversesLines => save.history.reverse(),
            Fault::DropsReasons => save.history.iter_mut().for_each(|line| line.reason = None),
            Fault::AddsALine if save.history.is_empty() => {
                let event = HistoryEvent::Waiting;
                save.history.push(HistoryEntry::new(0, "", event, save.at));
            }
            Fault::LimitsLines => save.history.truncate(100),
            Fault::DropsLines => save.history.clear(),
            Fault::AlwaysFulfils => save.fulfilled = true,
            Fault::NeverFulfils => save.fulfilled = false,
            Fault::EndedIsDue if save.status.is_end() => save.due_at = Some(save.at),
            Fault::NeverReads => save.read = None,
            Fault::ReadsAgain => {
                save.read = save.read.filter(|mail| !self.known().read.contains(mail))
            }
            Fault::ReadsUnknown => {
                let known = self.known();
                let is_known = |(address, id): &(String, String)| {
                    known.mail.iter().any(|mail| mail.address == *address && mail.id == *id)
                };
                save.read = save.read.filter(is_known);
            }
            _ => {}
        }
        save
    }
}

#[async_trait]
impl WorkflowStore for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        if self.has(Fault::PrepareForgets) {
            *lock(&self.inner) = MemoryStore::new(self.source.clone());
        }
        Ok(())
    }

    async fn create(&self, new: &NewInstance) -> Result<bool, StoreError> {
        let mut new = new.clone();
        if self.has(Fault::ForgetsDue) {
            new.due_at = new.at;
        }
        let is_new = self.known().created.insert(new.id);
        if self.has(Fault::NeverCreatesAgain) && !is_new {
            return Ok(false);
        }
        Ok(self.inner().create(&new).await? || self.has(Fault::CreatesAgain))
    }

    async fn get(&self, id: Uuid) -> Result<Option<Instance>, StoreError> {
        let found = self.inner().get(id).await?;
        if found.is_none() && self.has(Fault::InventsInstances) {
            let invented = NewInstance::new(id, "invented", 1, "", "{}".to_owned());
            return Ok(Some(Instance::pending(&invented)));
        }
        Ok(found.map(|found| self.seen(found)))
    }

    async fn claim(&self, id: Uuid, position: u64, owner: &str) -> Result<Claim, StoreError> {
        self.before_claim(id, owner).await?;
        let inner = self.inner();
        let position = match inner.get(id).await? {
            Some(current) if self.has(Fault::IgnoresPosition) => current.position,
            _ => position,
        };
        let claim = inner.claim(id, position, owner).await?;
        if self.has(Fault::ClaimForgetsOwner) {
            inner.release(id, owner).await?;
        }
        Ok(self.after_claim(claim, owner))
    }

    async fn save(&self, save: &Save) -> Result<Saved, StoreError> {
        let inner = self.inner();
        let current = inner.get(save.id).await?;
        let Some(current) = current else {
            return Ok(if self.has(Fault::SavesUnknown) { Saved::Made } else { Saved::TooLate });
        };
        if self.has(Fault::SavesUnclaimed) && current.owner.is_none() {
            inner.claim(save.id, save.position, &save.owner).await?;
        }
        let saved = inner.save(&self.instead(save, Some(&current))).await?;
        if saved == Saved::Made {
            self.known().read.extend(save.read.clone());
        }
        if saved == Saved::Made && save.read.is_some() && self.has(Fault::ReadsAll) {
            let of: Vec<String> =
                self.known().mail.iter().map(|mail| mail.workflow.clone()).collect();
            inner.purge_mail(&of, Timestamp::MAX, u32::MAX).await?;
        }
        let repeats = self.has(Fault::SaveRepeats) && current.position == save.next;
        Ok(if repeats { Saved::Made } else { saved })
    }

    async fn release(&self, id: Uuid, owner: &str) -> Result<(), StoreError> {
        let inner = self.inner();
        let current = inner.get(id).await?.and_then(|instance| instance.owner);
        match current {
            _ if self.has(Fault::ReleaseDoesNothing) => Ok(()),
            Some(current) if self.has(Fault::AnybodyReleases) => inner.release(id, &current).await,
            _ => inner.release(id, owner).await,
        }
    }

    async fn renew(&self, owner: &str, lease: Duration) -> Result<(), StoreError> {
        let is_new = self.known().owners.insert(owner.to_owned());
        lock(&self.own).insert(owner.to_owned());
        if self.has(Fault::RenewsOnce) && !is_new {
            return Ok(());
        }
        let long = if self.has(Fault::NeverDies) { Duration::from_secs(600) } else { lease };
        self.inner().renew(owner, long.max(lease)).await
    }

    async fn retire(&self, owner: &str) -> Result<(), StoreError> {
        if self.has(Fault::RetireDoesNothing) {
            return Ok(());
        }
        let all = self.known().owners.clone();
        for other in all.iter().filter(|_| self.has(Fault::RetiresAll)) {
            self.inner().retire(other).await?;
        }
        self.inner().retire(owner).await
    }

    async fn wish(
        &self,
        id: Uuid,
        wish: Wish,
        at: Timestamp,
    ) -> Result<Option<Instance>, StoreError> {
        let inner = self.inner();
        let Some(mut current) = inner.get(id).await? else {
            let invented = NewInstance::new(id, "invented", 1, "", "{}".to_owned());
            return Ok(self.has(Fault::InventsWished).then(|| Instance::pending(&invented)));
        };
        self.known().wishes.insert(id, wish);
        let is_left_out = match self.fault {
            Fault::ForgetsWishes => true,
            Fault::WishesOnlyFree => current.owner.is_some(),
            Fault::FirstWishStays => current.wish.is_some(),
            _ => false,
        };
        if self.has(Fault::WishesEnded) && current.status.is_end() {
            current.wish = Some(wish);
        }
        if is_left_out || current.status.is_end() {
            return Ok(Some(current));
        }
        inner.wish(id, wish, at).await
    }

    async fn take_due(
        &self,
        of: &[WorkflowVersion],
        now: Timestamp,
        again: Duration,
        limit: u32,
    ) -> Result<Vec<Instance>, StoreError> {
        let early = SignedDuration::from_secs(i64::from(self.has(Fault::TakesEarly)));
        let again = if self.has(Fault::DueAgainAtOnce) { Duration::ZERO } else { again };
        let limit = if self.has(Fault::TakesAll) { u32::MAX } else { limit };
        if self.has(Fault::TakesNothing) {
            return Ok(Vec::new());
        }
        let mut taken = self.due_of(of, now + early, again, limit).await?;
        match self.fault {
            Fault::ReversesDue => taken.reverse(),
            Fault::TakingTouches => taken.iter_mut().for_each(|it| it.updated_at = now),
            Fault::TakesOnlyFree => taken.retain(|instance| instance.owner.is_none()),
            Fault::GivesTwice => {
                let given = std::mem::replace(&mut self.known().given, taken.clone());
                taken.extend(given);
            }
            _ => {}
        }
        Ok(taken)
    }

    async fn list(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, StoreError> {
        let mut filter = filter.clone();
        match self.fault {
            Fault::IgnoresWorkflow => filter.workflows.clear(),
            Fault::ListsFirstWorkflow => filter.workflows.truncate(1),
            Fault::IgnoresStatus => filter.statuses.clear(),
            Fault::IgnoresTimes => (filter.since, filter.before) = (None, None),
            Fault::ListsAll => filter.limit = Some(u32::MAX),
            _ => {}
        }
        let mut found = self.inner().list(&filter).await?;
        match self.fault {
            Fault::OldestFirst => found.reverse(),
            Fault::ListsWithoutBook => found.iter_mut().for_each(|it| it.book.clear()),
            _ => {}
        }
        Ok(found)
    }

    async fn history(&self, id: Uuid) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut lines = self.inner().history(id).await?;
        if self.has(Fault::NoFirstLine) {
            lines.retain(|line| line.event != HistoryEvent::Started);
        }
        if self.has(Fault::InventsHistory) && lines.is_empty() {
            lines.push(HistoryEntry::new(0, "", HistoryEvent::Started, self.source.now()));
        }
        Ok(lines)
    }

    async fn live_versions(&self) -> Result<Vec<LiveVersion>, StoreError> {
        let mut versions = self.inner().live_versions().await?;
        match self.fault {
            Fault::CountsOneVersion => versions.iter_mut().for_each(|it| it.instances = 1),
            Fault::ReversesVersions => versions.reverse(),
            _ => {}
        }
        Ok(versions)
    }

    async fn purge(
        &self,
        of: &[String],
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let later = SignedDuration::from_secs(10 * i64::from(self.has(Fault::PurgesLater)));
        let limit = if self.has(Fault::PurgesAll) { u32::MAX } else { limit };
        let mut of = of.to_vec();
        if self.has(Fault::PurgesOthers) {
            of.extend(self.versions().await?.into_iter().map(|it| it.workflow));
        }
        let limit = if self.has(Fault::PurgesOneVersion) { limit.min(1) } else { limit };
        let removed = self.inner().purge(&of, ended_before + later, limit).await?;
        Ok(removed + u64::from(self.has(Fault::PurgesUnended)))
    }

    async fn post(&self, mail: &Mail) -> Result<Vec<Instance>, StoreError> {
        let mut mail = mail.clone();
        let number = self.known().mail.len();
        match self.fault {
            Fault::KeepsTwice => mail.id = format!("{}-{number}", mail.id),
            Fault::MailIgnoresCase => mail.address = mail.address.to_lowercase(),
            Fault::AsciiOnly => mail.body = ascii(&mail.body),
            Fault::LimitsTexts => mail.body = cut(&mail.body),
            _ => {}
        }
        let was_read = self.known().read.contains(&(mail.address.clone(), mail.id.clone()));
        if was_read && self.has(Fault::ForgetsRead) {
            mail.id += " again";
        }
        let is_known = self.known().mail.contains(&mail);
        self.known().mail.push(mail.clone());
        let found = self.inner().post(&mail).await?;
        match self.fault {
            Fault::FindsNobody => Ok(Vec::new()),
            Fault::FindsOnce if is_known => Ok(Vec::new()),
            Fault::FindsForRead if was_read => {
                let all = self.inner().list(&InstanceFilter::default()).await?;
                Ok(all.into_iter().filter(|it| it.awaits.as_ref() == Some(&mail.address)).collect())
            }
            Fault::FindsEverybody => self.inner().list(&InstanceFilter::default()).await,
            _ => Ok(found),
        }
    }

    async fn mail(&self, address: &str) -> Result<Option<Mail>, StoreError> {
        if self.has(Fault::NewestMail) {
            let known = self.known();
            return Ok(known.mail.iter().rfind(|mail| mail.address == address).cloned());
        }
        let small = address.to_lowercase();
        let address = if self.has(Fault::MailIgnoresCase) { &small } else { address };
        let found = self.inner().mail(address).await?;
        Ok(found.filter(|mail| !self.known().removed.contains(mail)))
    }

    async fn purge_mail(
        &self,
        of: &[String],
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let limit = if self.has(Fault::PurgesAllMail) { u32::MAX } else { limit };
        let limit = if self.has(Fault::PurgesNoMail) { 0 } else { limit };
        let mut of = of.to_vec();
        if self.has(Fault::KeepsReadForEver) && !self.known().read.is_empty() {
            return Ok(0);
        }
        if self.has(Fault::PurgesMailByArrival) {
            let mut known = self.known();
            let old = known.mail.iter().filter(|mail| mail.at < before).cloned();
            known.removed = old.take(limit as usize).collect();
            return Ok(known.removed.len() as u64);
        }
        if self.has(Fault::PurgesOthersMail) {
            of.extend(self.known().mail.iter().map(|mail| mail.workflow.clone()));
        }
        self.inner().purge_mail(&of, before, limit).await
    }

    async fn close(&self) {}
}
