//! What is measured: how many messages a second, how long each took, and what it cost this process.

use std::fs;
use std::time::{Duration, Instant};

use crate::Result;
use crate::statistics::quantile;

/// What one turn of a program gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Messages in the timed part.
    messages: u32,
    /// How long that part took.
    elapsed: Duration,
    /// How long each message took, where that is measured.
    latency: Option<Latency>,
    /// The processor time of this process, where that is measured.
    cpu: Option<Duration>,
}

/// How long the messages of a turn took, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// A figure of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Messages per second: more is better.
    Rate,
    /// What half of the messages take at most, in microseconds: less is better.
    P50,
    /// What 99 of 100 messages take at most, in microseconds: less is better.
    P99,
    /// The processor time of this process per message, in microseconds, which tells more than the rate where
    /// the broker shares the machine: less is better.
    Cpu,
}

/// The processor time that the threads of this process have had; nothing where the system does not say.
/// What differs between two looks is the time between them, as long as no thread ends.
fn cpu_time() -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // One that has just ended has no file any more.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

impl Sample {
    /// So many messages in this time.
    pub(crate) const fn new(messages: u32, elapsed: Duration) -> Self {
        Self { messages, elapsed, latency: None, cpu: None }
    }

    /// So many messages in the time that the work takes, and what it cost this process.
    pub(crate) async fn of(messages: u32, work: impl Future<Output = Result>) -> Result<Self> {
        let (before, began) = (cpu_time(), Instant::now());
        work.await?;
        let elapsed = began.elapsed();
        let cpu = cpu_time().zip(before).and_then(|(after, before)| after.checked_sub(before));
        Ok(Self { cpu, ..Self::new(messages, elapsed) })
    }

    /// The same, with how long each message took.
    pub(crate) fn with_latencies(self, times: &[Duration]) -> Self {
        let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        let latency = Latency { p50: quantile(&micros, 0.5), p99: quantile(&micros, 0.99) };
        Self { latency: Some(latency), ..self }
    }

    /// A figure, if it was measured.
    pub(crate) fn figure(self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::Rate => {
                Some(f64::from(self.messages) / self.elapsed.as_secs_f64().max(f64::EPSILON))
            }
            Figure::P50 => self.latency.map(|latency| latency.p50),
            Figure::P99 => self.latency.map(|latency| latency.p99),
            Figure::Cpu => {
                let each =
                    |cpu: Duration| cpu.as_secs_f64() * 1e6 / f64::from(self.messages.max(1));
                self.cpu.map(each)
            }
        }
    }
}

impl Figure {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Rate, Self::P50, Self::P99, Self::Cpu];

    /// What stands in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "msg/s",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::Cpu => "cpu us",
        }
    }

    /// The sign between a ratio and its bound.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Rate => ">=",
            Self::P50 | Self::P99 | Self::Cpu => "<=",
        }
    }

    /// Whether a ratio keeps its bound.
    pub(crate) fn keeps(self, ratio: f64, bound: f64) -> bool {
        match self {
            Self::Rate => ratio >= bound,
            Self::P50 | Self::P99 | Self::Cpu => ratio <= bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_shown_only_where_they_were_measured() {
        let sample = Sample::new(100, Duration::from_millis(500));
        assert_eq!(sample.figure(Figure::Rate), Some(200.0));
        assert_eq!(sample.figure(Figure::P99), None);
        let times: Vec<Duration> = (0..=100).rev().map(Duration::from_micros).collect();
        let sample = sample.with_latencies(&times);
        assert_eq!(sample.figure(Figure::P50).map(f64::round), Some(50.0));
        assert_eq!(sample.figure(Figure::P99).map(f64::round), Some(99.0));
    }

    #[test]
    fn a_rate_is_bounded_from_below_and_a_latency_from_above() {
        assert!(Figure::Rate.keeps(0.97, 0.97) && !Figure::Rate.keeps(0.96, 0.97));
        assert!(Figure::P50.keeps(1.03, 1.03) && !Figure::P99.keeps(1.04, 1.03));
    }
}
