//! Customers who order by HTTP: through a real socket, as any client would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mmate::http;
use mmate::prelude::*;
use mmate::runtime::Running;
use tokio::task::{JoinHandle, JoinSet};

use crate::browser::{self, Answer, Answers};
use crate::edge;
use crate::feed::{Line, Way};
use crate::journal::Journal;
use crate::orders::CreditBureau;

/// How long the impatient customer waits.
const IMPATIENCE_SECONDS: u32 = 1;

/// How long it may take until all customers of the rush are at the counter.
const DEADLINE: Duration = Duration::from_secs(5);

/// Wait before the counter is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The edge on a port of its own, and what it answered.
pub struct Customers {
    address: SocketAddr,
    bridge: Bridge,
    bureau: State<CreditBureau>,
    told: Arc<Told>,
    /// The server; it ends when this is dropped.
    _serving: JoinSet<()>,
}

/// What customers were told.
struct Told {
    journal: State<Journal>,
    answers: Mutex<Answers>,
}

impl Customers {
    /// Opens the edge, for as long as this is kept.
    pub async fn come_in(
        running: &Running,
        journal: State<Journal>,
        bureau: State<CreditBureau>,
    ) -> Result<Self> {
        let bridge = running.bridge().clone();
        let routes = edge::routes(&bridge).merge(http::health(running));
        let listener = http::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(async { drop(http::axum::serve(listener, routes).await) });
        let told = Arc::new(Told { journal, answers: Mutex::default() });
        let customers = Self { address, bridge, bureau, told, _serving: serving };
        let ready = browser::send(address, browser::get("/health/ready")?).await?;
        if ready.status != 200 {
            return Err(HandlerError::msg(format!("the shop is not ready: {}", ready.body)));
        }
        Ok(customers)
    }

    /// All answers so far.
    pub fn answers(&self) -> Answers {
        self.told.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Orders what stands in a line, and waits for the answer.
    pub async fn order(&self, line: &Line) -> Result {
        self.told.order(self.address, line, None).await.map(drop)
    }

    /// The customer of the first line of the rush, who does not wait for long.
    pub async fn be_impatient(&self, lines: &[Line]) -> Result {
        let impatient = lines.iter().find(|line| line.way == Way::Rush);
        let impatient = impatient.ok_or_else(|| HandlerError::msg("there is no rush"))?;
        self.told.order(self.address, impatient, Some(IMPATIENCE_SECONDS)).await.map(drop)
    }

    /// More customers at a time than the counter has places for, while the bureau is closed: the last is
    /// turned away. Then it opens, and who got no answer asks again with the same key.
    pub async fn rush(&self, lines: &[Line]) -> Result {
        let mut rush = lines.iter().filter(|line| line.way == Way::Rush);
        let (Some(impatient), Some(last)) = (rush.next(), rush.next_back()) else {
            return Err(HandlerError::msg("there is no rush"));
        };
        let waiting: Vec<_> = rush.map(|line| self.start(line)).collect();
        let full = async {
            while self.bridge.pending() < waiting.len() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let full = tokio::time::timeout(DEADLINE, full).await;
        full.map_err(|_| HandlerError::msg("the counter does not fill"))?;
        self.order(last).await?;
        self.bureau.open();
        for order in waiting {
            order.await??;
        }
        self.order(impatient).await?;
        self.order(last).await
    }

    fn start(&self, line: &Line) -> JoinHandle<Result> {
        let (told, address, line) = (Arc::clone(&self.told), self.address, line.clone());
        tokio::spawn(async move { told.order(address, &line, None).await.map(drop) })
    }

    /// Where every accepted order stands, as its `Location` says; by line.
    pub async fn look(&self) -> Result<BTreeMap<String, String>> {
        let mut states = BTreeMap::new();
        for (line, answers) in self.answers() {
            let Some(location) = answers.iter().find_map(|answer| answer.location.as_ref()) else {
                continue;
            };
            let found = browser::send(self.address, browser::get(location)?).await?;
            states.insert(line, found.body["state"].as_str().unwrap_or_default().to_owned());
        }
        Ok(states)
    }
}

impl Told {
    async fn order(&self, address: SocketAddr, line: &Line, wait: Option<u32>) -> Result<Answer> {
        let request = browser::post_order(line.content.body()?, &line.id, wait)?;
        let answer = browser::send(address, request).await?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.entry(line.id.clone()).or_default().push(answer.clone());
        drop(answers);
        self.journal.say(line.name(), "HTTP", &answer);
        Ok(answer)
    }
}
