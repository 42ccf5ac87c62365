//! What stands between a message and its handler, and what takes the handler's place.

mod breaker;
mod everywhere;
mod fallback;
mod places;
mod rate;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mmate::prelude::*;
use tokio::time::Instant;

/// Errors of every class.
#[derive(Debug, thiserror::Error, MessageError)]
enum Trouble {
    #[error("the other side is away")]
    #[class(transient)]
    Away,
    #[error("the other side wants less")]
    #[class(throttle)]
    Less,
    #[error("our own storage is broken")]
    #[class(system)]
    Broken,
    #[error("the message makes no sense")]
    #[class(invalid)]
    Nonsense,
    #[error("this will never work")]
    #[class(permanent)]
    Never,
    #[error("we do not deal with you")]
    #[class(reject = "BLOCKED")]
    Blocked,
}

fn trouble(word: &str) -> Result {
    Err(match word {
        "away" => Trouble::Away.into(),
        "less" => Trouble::Less.into(),
        "broken" => Trouble::Broken.into(),
        "nonsense" => Trouble::Nonsense.into(),
        "never" => Trouble::Never.into(),
        "blocked" => Trouble::Blocked.into(),
        "unclassified" => std::io::Error::other("no class").into(),
        "discard" => Discard("not needed".to_owned()).into(),
        "asked" => DeadLetter("look at this".to_owned()).into(),
        _ => return Ok(()),
    })
}

/// What is behind the handlers: a thing that can be away, and knows when it was called.
#[derive(Clone)]
struct Outside(Arc<Inner>);

struct Inner {
    began: Instant,
    away: AtomicBool,
    calls: Mutex<Vec<(Duration, String)>>,
    ids: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Outside {
    fn new(away: bool) -> Self {
        Self(Arc::new(Inner {
            began: Instant::now(),
            away: AtomicBool::new(away),
            calls: Mutex::default(),
            ids: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }))
    }

    fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
    }

    fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Relaxed)
    }

    /// A call that takes this long.
    async fn call(&self, who: &str, takes: Duration) -> Result {
        self.note(who);
        let at_a_time = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(at_a_time, Ordering::Relaxed);
        tokio::time::sleep(takes).await;
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        if self.is_away() { Err(Trouble::Away.into()) } else { Ok(()) }
    }

    fn note(&self, who: &str) {
        self.0.calls.lock().unwrap().push((self.0.began.elapsed(), who.to_owned()));
    }

    fn id(&self, id: &str) {
        self.0.ids.lock().unwrap().push(id.to_owned());
    }

    /// The ids of what handlers and fallbacks published, in order.
    fn ids(&self) -> Vec<String> {
        self.0.ids.lock().unwrap().clone()
    }

    /// The most calls that were under way at a time.
    fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    fn callers(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().iter().map(|(_, who)| who.clone()).collect()
    }

    /// How many calls began at which millisecond.
    fn times(&self) -> Vec<(u128, usize)> {
        let mut times = BTreeMap::new();
        for (at, _) in &*self.0.calls.lock().unwrap() {
            *times.entry(at.as_millis()).or_default() += 1;
        }
        times.into_iter().collect()
    }
}
