//! The one source of wall time, ids and randomness.
//!
//! Everything that is not decided by the program's input comes from here, so that a test can give a
//! seed and see the same ids and the same times again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Wall time, ids and randomness. Cheap to clone.
#[derive(Clone, Default)]
pub struct Source(Option<Arc<Seeded>>);

struct Seeded {
    rng: Mutex<StdRng>,
    epoch: Timestamp,
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl Source {
    /// The machine's clock and the thread's own generator, seeded by the system.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A repeatable source: ids and randomness follow from `seed`, time is 2026-01-01T00:00:00Z
    /// plus what `elapsed` says.
    #[must_use]
    pub fn seeded(seed: u64, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let epoch = Timestamp::constant(1_767_225_600, 0);
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Self(Some(Arc::new(Seeded { rng, epoch, elapsed: Box::new(elapsed) })))
    }

    /// The time now, in UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(seeded) => {
                let elapsed =
                    SignedDuration::try_from((seeded.elapsed)()).unwrap_or(SignedDuration::MAX);
                seeded.epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// A new UUID v4.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.with_rng(|rng| rng.fill_bytes(&mut bytes));
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number from 0 up to, but not including, 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let mut bits = 0;
        self.with_rng(|rng| bits = rng.next_u32());
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn with_rng(&self, mut use_rng: impl FnMut(&mut dyn Rng)) {
        match &self.0 {
            None => use_rng(&mut rand::rng()),
            Some(seeded) => {
                use_rng(&mut *seeded.rng.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Source(seeded)" } else { "Source(system)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_times() {
        let make = || Source::seeded(7, || Duration::from_secs(90));
        let (a, b) = (make(), make());
        assert_eq!((a.id(), a.id(), a.now()), (b.id(), b.id(), b.now()));
        assert_eq!(a.now().to_string(), "2026-01-01T00:01:30Z");
    }

    #[test]
    fn ids_are_version_4_and_differ() {
        let source = Source::system();
        let (a, b) = (source.id(), source.id());
        assert_eq!((a.get_version_num(), b.get_version_num()), (4, 4));
        assert_ne!(a, b);
    }
}
