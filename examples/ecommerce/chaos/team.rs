//! The processes that work, and die.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mmate::prelude::*;
use mmate::runtime::Running;
use tokio::time::Instant;

/// How many work at a time.
const WORKERS: usize = 3;

/// How long all of them live at least, and how much longer at most.
const LIFE: Duration = Duration::from_millis(700);
const LUCK: Duration = Duration::from_millis(600);

/// What they are told beside the broker: to notice soon when one of them has died.
const SETTINGS: [(&str, &str); 4] = [
    ("MMATE_WORKFLOWS_LEASE", "2s"),
    ("MMATE_WORKFLOWS_LOST_AFTER", "3s"),
    ("MMATE_WORKFLOWS_CHECK_EVERY", "500ms"),
    ("MMATE_LOG", "off"),
];

/// What a worker does until it is killed: it works. It ends by itself when the process is gone that has started it.
pub async fn work(running: Running) {
    std::thread::spawn(|| {
        // Nothing is ever written there; it ends with the other process, however that ended.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    running.until_stopped().await;
}

/// The workers. They end with it.
pub struct Team {
    address: SocketAddr,
    store: String,
    workers: Vec<Worker>,
    random: Random,
    began: Instant,
    kills: usize,
}

struct Worker(Child);

impl Team {
    /// Starts them.
    pub fn start(address: SocketAddr, store: &str, seed: u64) -> Result<Self> {
        let (store, began) = (store.to_owned(), Instant::now());
        let (workers, random) = (Vec::new(), Random(seed));
        let mut team = Self { address, store, workers, random, began, kills: 0 };
        for _ in 0..WORKERS {
            let worker = team.hire()?;
            team.workers.push(worker);
        }
        Ok(team)
    }

    /// Kills one after another and starts another one instead, for as long as it is polled.
    pub async fn lose_one_after_another(&mut self) -> Result {
        loop {
            let luck = self.random.below(LUCK.as_millis());
            tokio::time::sleep(LIFE + Duration::from_millis(luck)).await;
            self.check()?;
            let unlucky = usize::try_from(self.random.below(WORKERS as u128))?;
            let dead = self.workers[unlucky].0.id();
            let next = self.hire()?;
            // The one before is killed when it is dropped.
            self.workers[unlucky] = next;
            self.kills += 1;
            let (after, pid) = (self.began.elapsed().as_secs_f64(), self.workers[unlucky].0.id());
            println!("{after:>6.1} s  worker {dead} is killed, worker {pid} takes its place");
        }
    }

    /// An error if one has ended that nobody killed.
    pub fn check(&mut self) -> Result {
        for worker in &mut self.workers {
            if let Some(status) = worker.0.try_wait()? {
                let text = format!("worker {} has ended by itself: {status}", worker.0.id());
                return Err(HandlerError::msg(text));
            }
        }
        Ok(())
    }

    /// How many were killed.
    pub const fn kills(&self) -> usize {
        self.kills
    }

    fn hire(&self) -> Result<Worker> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env("MMATE_SHOP__WORLD", self.address.to_string());
        command.env("MMATE_WORKFLOWS_STORE", &self.store).envs(SETTINGS);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Worker(command.spawn()?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SIGKILL: nothing of the process runs any more. If it has ended already the error says so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same numbers for the same seed: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u128) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        u64::try_from(u128::from(mixed) % limit.max(1)).unwrap_or(0)
    }
}
