//! The chaos run: three processes work on orders that fail at every stage, and one after another is killed in the middle
//! of it (`SIGKILL`) and replaced. In the end every order has ended, and the books of the world balance.
//!
//! ```text
//! this process                       three workers, the same program
//!   customers ── PlaceOrder ──> RabbitMQ ──> orders, stages ── HTTP ──> world (here)
//!   judge <──────────────────── the workflow store <──┘
//! ```
//!
//! `MMATE_URL` names the broker and `MMATE_WORKFLOWS_STORE` the database; without it that is a file of SQLite which is
//! removed afterwards. `MMATE_SHOP__ORDERS` says how many orders, `MMATE_SHOP__SEED` who is killed when.

mod orders;
mod team;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use mmate::contract::Source;
use mmate::http;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate::store::{self, InstanceFilter};
use mmate::transport::memory::MemoryTransport;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::orders::Sent;
use self::team::Team;
use self::verdict::Verdict;
use crate::feed;
use crate::world::{self, World};

pub use self::team::work;

/// How many orders are sent if nothing is said.
const ORDERS: u32 = 300;

/// So long takes the world for anything: long enough that most kills hit a stage which waits for it.
const LATENCY: Duration = Duration::from_millis(80);

/// How long it may take until everything has ended that was sent.
const DEADLINE: Duration = Duration::from_secs(180);

/// Wait before the store is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Whether it is what the command line asks for. This comes before there is a configuration: which app is to start?
pub fn is_asked_for() -> bool {
    std::env::args_os().any(|argument| argument == "--chaos")
}

/// Who sends the orders: an app that handles nothing.
pub fn customers() -> AppBuilder {
    App::builder().name("customers").publish_only()
}

/// Runs it. An error says what is wrong with the end state.
pub async fn run(running: &Running, config: &Config) -> Result {
    let transport = running.transport();
    if transport.name() == MemoryTransport::NAME {
        let text = "the chaos run kills processes, so the broker has to be outside of them\nhelp: write \
                    `MMATE_URL=amqp://localhost` before the command";
        return Err(HandlerError::msg(text));
    }
    let (began, run) = (Instant::now(), feed::run_id());
    let folder = Folder::new(&run)?;
    let url = match config.get::<String>("workflows.store")?.as_str() {
        "auto" => format!("sqlite://{}", folder.0.join("workflows.db").display()),
        url => url.to_owned(),
    };
    let store = store::connect(&url, Source::system())?;
    store.prepare().await?;
    let world = World::new(LATENCY);
    let listener = http::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut serving = JoinSet::new();
    let routes = world::routes(world.clone());
    serving.spawn(async { drop(http::axum::serve(listener, routes).await) });

    let count = config.find("shop.orders")?.unwrap_or(ORDERS);
    let seed = config.find("shop.seed")?.unwrap_or(7);
    println!("{count} orders on {} with {}, seed {seed}\n", transport.name(), store.name());
    let sent = orders::make(&run, count);
    let mut team = Team::start(address, &url, seed)?;
    tokio::select! {
        all = orders::send(running.publisher(), &sent) => all?,
        failed = team.lose_one_after_another() => failed?,
    }
    let kills = team.kills();
    println!("{:>6.1} s  all orders are sent", began.elapsed().as_secs_f64());
    let in_time = settle(&*store, &sent).await?;
    println!("{:>6.1} s  all orders have ended", began.elapsed().as_secs_f64());
    team.check()?;
    drop(team);
    let verdict = Verdict::of(&*store, &sent, world.books()).await?;
    verdict.print(kills, began.elapsed());
    let mut problems = verdict.problems();
    if !in_time {
        problems.insert(0, format!("not everything was done within {DEADLINE:?}"));
    }
    if problems.is_empty() {
        println!("\nEverything adds up.");
        return Ok(());
    }
    Err(HandlerError::msg(format!("the chaos run ended wrong:\n  {}", problems.join("\n  "))))
}

/// Waits until no order is underway any more. False if the deadline comes first.
async fn settle(store: &dyn store::WorkflowStore, sent: &[Sent]) -> Result<bool> {
    let began = Instant::now();
    loop {
        let mut filter = InstanceFilter::default();
        filter.limit = Some(InstanceFilter::LIMIT_MAX);
        let ended = store.list(&filter).await?;
        let ended = ended.iter().filter(|instance| instance.status.is_end());
        let ended = ended.filter(|instance| sent.iter().any(|sent| sent.instance() == instance.id));
        if ended.count() == sent.len() {
            return Ok(true);
        }
        if began.elapsed() > DEADLINE {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A folder for as long as it is kept.
struct Folder(PathBuf);

impl Folder {
    fn new(run: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mmate-shop-{run}"));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever tidies up temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
