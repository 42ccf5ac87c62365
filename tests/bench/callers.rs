//! Callers of a program that asks: so many tasks, each of which asks one question after the other.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use crate::Result;
use crate::figures::Sample;
use crate::lapin::publish::take;
use crate::question::{OrderPriced, PriceOrder};

/// The part of a turn that comes before what is timed, as one in so many questions.
const WARM_UP: u32 = 10;

/// Asks questions, through whatever it is.
pub(crate) trait Ask: Send + Sync + 'static {
    /// Asks one question and waits for its answer.
    fn ask(&self, question: PriceOrder) -> impl Future<Output = Result<OrderPriced>> + Send;
}

/// How many ask at a time, and what.
#[derive(Clone, Debug)]
pub(crate) struct Callers {
    /// The tasks.
    pub(crate) count: u16,
    /// What each of them asks.
    pub(crate) question: PriceOrder,
}

impl Callers {
    /// Asks without the clock, and then so many questions with it.
    pub(crate) async fn measure(&self, asker: &Arc<impl Ask>, questions: u32) -> Result<Sample> {
        self.ask_all(asker, (questions / WARM_UP).max(u32::from(self.count))).await?;
        let mut times = Vec::new();
        let asking = async {
            times = self.ask_all(asker, questions).await?;
            Ok(())
        };
        let sample = Sample::of(questions, asking).await?;
        Ok(sample.with_latencies(&times))
    }

    /// Asks so many questions; gives the time that each took.
    async fn ask_all(&self, asker: &Arc<impl Ask>, questions: u32) -> Result<Vec<Duration>> {
        let left = Arc::new(AtomicU32::new(questions));
        let mut tasks = Vec::new();
        for _ in 0..self.count {
            let (asker, left, question) =
                (Arc::clone(asker), Arc::clone(&left), self.question.clone());
            tasks.push(tokio::spawn(async move { ask_each(&*asker, &left, &question).await }));
        }
        let mut times = Vec::with_capacity(questions as usize);
        for task in tasks {
            times.append(&mut task.await??);
        }
        Ok(times)
    }
}

/// One caller.
async fn ask_each(
    asker: &impl Ask,
    left: &AtomicU32,
    question: &PriceOrder,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while take(left) {
        let question = std::hint::black_box(question.clone());
        let began = Instant::now();
        let priced = asker.ask(question).await?;
        times.push(began.elapsed());
        drop(std::hint::black_box(priced));
    }
    Ok(times)
}
