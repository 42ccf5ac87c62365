//! What happens beside the messages: this process says that it is alive, and instances that nobody has moved for too
//! long are announced once more.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Engine;
use crate::handler::HandlerError;
use crate::store::{InstanceFilter, StoreError, WorkflowStatus, WorkflowStore};

/// How many instances are looked after at a time.
const BATCH: u32 = 100;

/// How many times the lease is renewed while it lasts.
const RENEWALS: u32 = 3;

impl Engine {
    /// Says for the first time that this process is alive. Before that it works on nothing.
    pub(crate) async fn sign_on(&self) -> Result<(), StoreError> {
        let Some(store) = &self.0.store else { return Ok(()) };
        store.renew(&self.0.options.owner, self.0.options.lease).await
    }

    /// Says that this process has ended, so that others take over at once, and ends the store's connections.
    pub(crate) async fn sign_off(&self) {
        let Some(store) = &self.0.store else { return };
        if let Err(error) = store.retire(&self.0.options.owner).await {
            tracing::warn!(%error, "the workflow store was not told that this process ends; its instances are free after the lease");
        }
        store.close().await;
    }

    /// Renews the lease for as long as it is polled.
    pub(crate) fn keep_alive(&self) -> impl Future<Output = ()> + Send + use<> {
        let engine = self.clone();
        async move {
            let Some(store) = engine.0.store.clone() else { return };
            let lease = engine.0.options.lease;
            let mut renewed = Instant::now();
            loop {
                tokio::time::sleep(lease / RENEWALS).await;
                engine.renew(&*store, &mut renewed, lease).await;
            }
        }
    }

    async fn renew(&self, store: &dyn WorkflowStore, renewed: &mut Instant, lease: Duration) {
        let asked = Instant::now();
        // No longer than the lease lasts, so that stages stop in time. Once it is over that moment has passed, and the store
        // needs time to answer all the same.
        let over = *renewed + lease;
        let until = if over > asked { over } else { asked + lease };
        // The lease counts from when it was asked for: the store may have counted from then.
        match tokio::time::timeout_at(until, store.renew(&self.0.options.owner, lease)).await {
            Ok(Ok(())) => {
                *renewed = asked;
                if !self.0.alive.send_replace(true) {
                    tracing::info!("the workflow store answers again; stages go on");
                }
            }
            failed => {
                let error = failed.map_or_else(
                    |_| "no answer in time".to_owned(),
                    |result| result.err().map(|error| error.to_string()).unwrap_or_default(),
                );
                tracing::warn!(
                    error,
                    "the workflow store does not hear that this process is alive"
                );
                if renewed.elapsed() >= lease && self.0.alive.send_replace(false) {
                    tracing::error!(
                        "the lease of this process is over: stages are stopped, since others may take them"
                    );
                }
            }
        }
    }

    /// Looks after instances for as long as it is polled. `forgetful` says that the broker has forgotten all messages of
    /// the last process, as the one in memory has.
    pub(crate) fn look_after(
        &self,
        every: Duration,
        forgetful: bool,
    ) -> impl Future<Output = ()> + Send + use<> {
        let engine = self.clone();
        async move {
            if forgetful && let Err(error) = engine.announce_all().await {
                tracing::error!(error = %error.chain(), "instances of workflows from before are not announced; tried again one by one");
            }
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = engine.look_once().await {
                    tracing::warn!(error = %error.chain(), "instances of workflows cannot be looked after; tried again");
                }
            }
        }
    }

    async fn announce_all(&self) -> Result<(), HandlerError> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let statuses = WorkflowStatus::ALL.iter().copied();
        let filter = InstanceFilter {
            workflows: self.0.ids.clone(),
            statuses: statuses.filter(|status| !status.is_end()).collect(),
            limit: Some(InstanceFilter::LIMIT_MAX),
            ..InstanceFilter::default()
        };
        for instance in store.list(&filter).await? {
            // Those of versions that others have stay theirs.
            if self.graph(&instance.workflow, Some(instance.version)).is_some() {
                self.say_where(&instance).await?;
            }
        }
        Ok(())
    }

    /// Announces what is due once more, and removes what has ended long ago.
    pub(crate) async fn look_once(&self) -> Result<(), HandlerError> {
        let Some(store) = &self.0.store else { return Ok(()) };
        loop {
            let now = self.now();
            let lost_after = self.0.options.lost_after;
            let due = store.take_due(&self.0.versions, now, lost_after, BATCH).await?;
            for instance in &due {
                if let Err(error) = self.say_where(instance).await {
                    tracing::warn!(instance = %instance.id, workflow = instance.workflow, error = %error.chain(), "an instance cannot be announced");
                }
            }
            if due.len() < BATCH as usize {
                break;
            }
        }
        let keep = i64::try_from(self.0.options.keep.as_millis()).unwrap_or(i64::MAX);
        let before = self.now().as_millisecond().saturating_sub(keep);
        if let Ok(before) = jiff::Timestamp::from_millisecond(before) {
            let own = &self.0.ids;
            while store.purge(own, before, BATCH).await? == u64::from(BATCH) {}
            while store.purge_mail(own, before, BATCH).await? == u64::from(BATCH) {}
        }
        Ok(())
    }
}
