//! Contests: several programs that do the same work, in interleaved rounds.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::Result;
use crate::figures::{Figure, Sample};
use crate::options::Options;
use crate::statistics::Spread;

/// So many rounds are run whatever the time.
const ROUNDS_MIN: usize = 3;

/// How long a turn may take.
const TURN_TIME_MAX: Duration = Duration::from_secs(120);

const STUCK: &str = "a turn did not end; is the broker out of memory or disk?";

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
    /// What is compared.
    pub(crate) figure: Figure,
    /// The worst ratio that is accepted.
    pub(crate) bound: Option<f64>,
}

/// Programs that do the same work.
pub(crate) struct Contest {
    title: String,
    programs: Vec<Box<dyn Program>>,
    comparisons: Vec<Comparison>,
    /// A turn is as many messages as the options say, divided by this.
    share: u32,
    close: Option<BoxFuture<'static, Result>>,
}

impl Contest {
    /// A contest without programs.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            programs: Vec::new(),
            comparisons: Vec::new(),
            share: 1,
            close: None,
        }
    }

    /// Makes turns shorter: one in so many of the messages that the options say.
    pub(crate) const fn turns_of(mut self, share: u32) -> Self {
        self.share = share;
        self
    }

    /// Adds a program; the first is what the others are compared with.
    pub(crate) fn program(mut self, program: impl Program + 'static) -> Self {
        self.programs.push(Box::new(program));
        self
    }

    /// Compares the newest program's rate with the first one's.
    pub(crate) fn against_first(self, bound: Option<f64>) -> Self {
        self.against(0, bound)
    }

    /// Compares the newest program's rate with another one's.
    pub(crate) fn against(self, with: usize, bound: Option<f64>) -> Self {
        self.compare(Figure::Rate, with, bound)
    }

    /// Compares a figure of the newest program with another one's.
    pub(crate) fn compare(mut self, figure: Figure, with: usize, bound: Option<f64>) -> Self {
        let program = self.programs.len().saturating_sub(1);
        self.comparisons.push(Comparison { program, with, figure, bound });
        self
    }

    /// What is to be done after the last round.
    pub(crate) fn close(mut self, close: impl Future<Output = Result> + Send + 'static) -> Self {
        self.close = Some(Box::pin(close));
        self
    }

    /// Leaves one program, which is compared with nothing.
    ///
    /// # Errors
    /// If none has this name.
    pub(crate) fn alone(mut self, name: &str) -> Result<Self> {
        self.programs.retain(|program| program.name() == name);
        self.comparisons.clear();
        match self.programs.is_empty() {
            true => Err(format!("{}: no program `{name}`", self.title).into()),
            false => Ok(self),
        }
    }

    /// Runs a round of warm-up and then the rounds that count, or as many as fit the time.
    pub(crate) async fn run(mut self, options: &Options, time: Duration) -> Result<Outcome> {
        let until = Instant::now() + time;
        let mut samples: Vec<Vec<Sample>> = Vec::new();
        for round in 0..=options.rounds as usize {
            if samples.len() >= ROUNDS_MIN && Instant::now() >= until {
                break;
            }
            let row = self.round(round, options.messages / self.share).await?;
            if round > 0 {
                samples.push(row);
            }
        }
        if let Some(close) = self.close.take() {
            close.await?;
        }
        let names = self.programs.iter().map(|program| program.name()).collect();
        Ok(Outcome { title: self.title, names, comparisons: self.comparisons, samples })
    }

    /// One turn of each. Every other round goes backwards, and each pair of rounds begins with another
    /// program, so that nobody is always first, or always far from what it is compared with.
    async fn round(&mut self, round: usize, messages: u32) -> Result<Vec<Sample>> {
        let count = self.programs.len();
        let mut samples = vec![Sample::new(0, Duration::ZERO); count];
        for step in 0..count {
            let place = if round.is_multiple_of(2) { step } else { count - 1 - step };
            let at = (place + round / 2) % count;
            let program = &mut self.programs[at];
            let name = program.name();
            let turn = tokio::time::timeout(TURN_TIME_MAX, program.turn(messages)).await;
            let sample = turn
                .unwrap_or_else(|_| Err(STUCK.into()))
                .map_err(|error| format!("{}, {name}, round {round}: {error}", self.title))?;
            samples[at] = sample;
        }
        Ok(samples)
    }
}

/// What a contest gave, by round and program.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The case.
    pub(crate) title: String,
    /// The programs.
    pub(crate) names: Vec<&'static str>,
    /// The wanted ratios.
    pub(crate) comparisons: Vec<Comparison>,
    samples: Vec<Vec<Sample>>,
}

impl Outcome {
    /// Rounds that counted.
    pub(crate) fn rounds(&self) -> usize {
        self.samples.len()
    }

    /// A figure of a program, if it was measured.
    pub(crate) fn figure(&self, program: usize, figure: Figure) -> Option<Spread> {
        let figures: Option<Vec<f64>> =
            self.samples.iter().map(|row| row[program].figure(figure)).collect();
        figures.filter(|figures| !figures.is_empty()).map(Spread::of)
    }

    /// The ratio of two programs, taken within each round.
    pub(crate) fn ratio(&self, comparison: Comparison) -> Spread {
        let Comparison { program, with, figure, .. } = comparison;
        let ratio =
            |row: &Vec<Sample>| Some(row[program].figure(figure)? / row[with].figure(figure)?);
        Spread::of(self.samples.iter().filter_map(ratio))
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
