//! Looks into the dead-letter queues through the transport, on whatever broker that is.
//!
//! It holds the letters without acknowledging them and only looks at those of its own run: once it
//! is dropped they are all back in their queues, as they were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mmate::contract::HeaderValue;
use mmate::contract::address::dead_letter_queue;
use mmate::contract::headers::names;
use mmate::prelude::*;
use mmate::transport::{Delivery, Intake, SubscribeOptions, Transport, TransportError};
use tokio::task::JoinSet;

use crate::journal::Journal;

/// Wait before a lost subscription is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// A message that no handler could handle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    pub queue: String,
    pub reason: String,
    pub error: String,
    pub attempts: i64,
}

/// The dead letters of one run, by the line that they come from.
pub type Letters = BTreeMap<String, Vec<Letter>>;

/// The watch over all dead-letter queues.
#[derive(Debug)]
pub struct Parked {
    found: Arc<Found>,
    /// One task per queue; they end when this is dropped.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Found {
    run: String,
    journal: State<Journal>,
    /// By queue and message id: a letter may be handed over twice.
    letters: Mutex<BTreeMap<(String, String), (String, Letter)>>,
}

impl Parked {
    /// Watches the dead-letter queues of `queues` for messages of the run.
    pub async fn watch(
        transport: Arc<dyn Transport>,
        queues: impl IntoIterator<Item = String>,
        run: &str,
        journal: State<Journal>,
    ) -> Result<Self, TransportError> {
        let letters = Mutex::default();
        let found = Arc::new(Found { run: run.to_owned(), journal, letters });
        let mut tasks = JoinSet::new();
        for queue in queues {
            // Letters of earlier runs are held, too, so the room must be large enough for all.
            let options = SubscribeOptions::new(dead_letter_queue(&queue), u16::MAX);
            let mut subscription = transport.subscribe(options.clone()).await?;
            let (transport, found) = (Arc::clone(&transport), Arc::clone(&found));
            tasks.spawn(async move {
                loop {
                    match subscription.next().await {
                        Intake::Delivery(delivery) => found.look_at(&queue, &delivery),
                        Intake::Ended => return,
                        Intake::Lost(_) => {
                            subscription = subscribe_again(&*transport, &options).await;
                        }
                    }
                }
            });
        }
        Ok(Self { found, _tasks: tasks })
    }

    /// What was found so far.
    pub fn letters(&self) -> Letters {
        let mut by_line = Letters::new();
        for (line, letter) in self.found.lock().values() {
            by_line.entry(line.clone()).or_default().push(letter.clone());
        }
        by_line
    }
}

async fn subscribe_again(
    transport: &dyn Transport,
    options: &SubscribeOptions,
) -> Box<dyn mmate::transport::Subscription> {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Ok(subscription) = transport.subscribe(options.clone()).await {
            return subscription;
        }
    }
}

impl Found {
    fn look_at(&self, queue: &str, delivery: &Delivery) {
        let properties = &delivery.properties;
        let id = properties.message_id.as_deref().unwrap_or_default();
        // A message that began a flow has no correlation id but its own.
        let line = properties.correlation_id.as_deref().unwrap_or(id);
        if !line.starts_with(&self.run) {
            return;
        }
        let text = |name| properties.headers.text(name).unwrap_or("-").to_owned();
        let attempts = properties.headers.get(names::DEATH_ATTEMPTS).and_then(HeaderValue::as_i64);
        let letter = Letter {
            queue: queue.to_owned(),
            reason: text(names::DEATH_REASON),
            error: text(names::DEATH_ERROR),
            attempts: attempts.unwrap_or_default(),
        };
        let Letter { reason, error, attempts, .. } = &letter;
        let times =
            if *attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
        let what = format!("{reason}{times}: {error}");
        let mut letters = self.lock();
        let key = (queue.to_owned(), id.to_owned());
        if letters.insert(key, (line.to_owned(), letter.clone())).is_none() {
            self.journal.say(line, "PARKED", what);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), (String, Letter)>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
