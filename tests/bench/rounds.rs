//! Contests: several programs that do the same work, in interleaved rounds.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::Result;
use crate::options::Options;
use crate::statistics::Spread;

/// So many rounds are run whatever the time.
const ROUNDS_MIN: usize = 3;

/// How long a turn may take.
const TURN_TIME_MAX: Duration = Duration::from_secs(120);

const STUCK: &str = "a turn did not end; is the broker out of memory or disk?";

/// What one turn of a program gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Messages in the timed part.
    pub(crate) messages: u32,
    /// How long that part took.
    pub(crate) elapsed: Duration,
}

impl Sample {
    fn per_second(self) -> f64 {
        f64::from(self.messages) / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

/// One program of a contest.
pub(crate) trait Program: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Sends or takes this many messages; leaves the queue as it found it.
    fn turn(&mut self, messages: u32) -> BoxFuture<'_, Result<Sample>>;
}

/// A ratio of two programs that is wanted in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// The program.
    pub(crate) program: usize,
    /// What it is compared with.
    pub(crate) with: usize,
    /// The least ratio that is accepted.
    pub(crate) bound: Option<f64>,
}

/// Programs that do the same work.
pub(crate) struct Contest {
    title: String,
    programs: Vec<Box<dyn Program>>,
    comparisons: Vec<Comparison>,
    close: Option<BoxFuture<'static, Result>>,
}

impl Contest {
    /// A contest without programs.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), programs: Vec::new(), comparisons: Vec::new(), close: None }
    }

    /// Adds a program; the first is what the others are compared with.
    pub(crate) fn program(mut self, program: impl Program + 'static) -> Self {
        self.programs.push(Box::new(program));
        self
    }

    /// Compares the newest program with the first one.
    pub(crate) fn against_first(self, bound: Option<f64>) -> Self {
        self.against(0, bound)
    }

    /// Compares the newest program with another one.
    pub(crate) fn against(mut self, with: usize, bound: Option<f64>) -> Self {
        let program = self.programs.len().saturating_sub(1);
        self.comparisons.push(Comparison { program, with, bound });
        self
    }

    /// What is to be done after the last round.
    pub(crate) fn close(mut self, close: impl Future<Output = Result> + Send + 'static) -> Self {
        self.close = Some(Box::pin(close));
        self
    }

    /// Runs a round of warm-up and then the rounds that count, or as many as fit the time.
    pub(crate) async fn run(mut self, options: &Options, time: Duration) -> Result<Outcome> {
        let until = Instant::now() + time;
        let mut rates: Vec<Vec<f64>> = Vec::new();
        for round in 0..=options.rounds as usize {
            if rates.len() >= ROUNDS_MIN && Instant::now() >= until {
                break;
            }
            let row = self.round(round, options.messages).await?;
            if round > 0 {
                rates.push(row);
            }
        }
        if let Some(close) = self.close.take() {
            close.await?;
        }
        let names = self.programs.iter().map(|program| program.name()).collect();
        Ok(Outcome { title: self.title, names, comparisons: self.comparisons, rates })
    }

    /// One turn of each. Every other round goes backwards, and each pair of rounds begins with another
    /// program, so that nobody is always first, or always far from what it is compared with.
    async fn round(&mut self, round: usize, messages: u32) -> Result<Vec<f64>> {
        let count = self.programs.len();
        let mut rates = vec![0.0; count];
        for step in 0..count {
            let place = if round.is_multiple_of(2) { step } else { count - 1 - step };
            let at = (place + round / 2) % count;
            let program = &mut self.programs[at];
            let name = program.name();
            let turn = tokio::time::timeout(TURN_TIME_MAX, program.turn(messages)).await;
            let sample = turn
                .unwrap_or_else(|_| Err(STUCK.into()))
                .map_err(|error| format!("{}, {name}, round {round}: {error}", self.title))?;
            rates[at] = sample.per_second();
        }
        Ok(rates)
    }
}

/// What a contest gave: messages per second by round and program.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The case.
    pub(crate) title: String,
    /// The programs.
    pub(crate) names: Vec<&'static str>,
    /// The wanted ratios.
    pub(crate) comparisons: Vec<Comparison>,
    rates: Vec<Vec<f64>>,
}

impl Outcome {
    /// Rounds that counted.
    pub(crate) fn rounds(&self) -> usize {
        self.rates.len()
    }

    /// Messages per second of a program.
    pub(crate) fn rate(&self, program: usize) -> Spread {
        Spread::of(self.rates.iter().map(|row| row[program]))
    }

    /// The ratio of two programs, taken within each round.
    pub(crate) fn ratio(&self, comparison: Comparison) -> Spread {
        let Comparison { program, with, .. } = comparison;
        Spread::of(self.rates.iter().map(|row| row[program] / row[with]))
    }
}

/// The time that is left, shared among the contests that are left.
#[derive(Debug)]
pub(crate) struct Budget {
    until: Instant,
    left: usize,
}

impl Budget {
    /// A budget for this many contests.
    pub(crate) fn new(time: Duration, contests: usize) -> Self {
        Self { until: Instant::now() + time, left: contests }
    }

    /// The time for the next contest.
    pub(crate) fn share(&mut self) -> Duration {
        let rest = self.until.saturating_duration_since(Instant::now());
        let share = rest / u32::try_from(self.left.max(1)).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(1);
        share
    }
}
