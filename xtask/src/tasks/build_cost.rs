//! `cargo xtask build-cost`: what handlers cost to compile and to link.
//!
//! Generates a service with N handlers, each with a message type of its own, and builds it as its
//! users would: clean (dependencies already built), after a changed body, and the size of the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Failure;
use super::command::workspace_root;

const PACKAGE: &str = "build-cost";
const REPEATS: usize = 3;

/// Runs the task: `[--handlers N]..`, by default 1, 100 and 300.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let counts = parse(arguments)?;
    let folder = std::env::temp_dir().join(format!("mmate-build-cost-{}", std::process::id()));
    let measured = measure_all(&folder, &counts);
    fs::remove_dir_all(&folder)?;
    let measured = measured?;
    println!(
        "debug builds of a generated service; medians of {REPEATS}; dependencies already built"
    );
    println!(
        "{:>8}  {:>9}  {:>13}  {:>9}  {:>15}",
        "handlers", "clean", "body changed", "binary", "per handler"
    );
    let base = measured.first();
    for cost in &measured {
        let per_handler =
            base.filter(|base| base.handlers < cost.handlers).map(|base| cost.per_handler(base));
        println!(
            "{:>8}  {:>7.2} s  {:>11.2} s  {:>6.1} MB  {:>15}",
            cost.handlers,
            cost.clean.as_secs_f64(),
            cost.incremental.as_secs_f64(),
            megabytes(cost.binary_bytes),
            per_handler.unwrap_or_default()
        );
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Vec<usize>, Failure> {
    let mut counts = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let count = (argument == "--handlers").then(|| rest.next()?.parse().ok()).flatten();
        counts.push(count.ok_or_else(|| {
            Failure::usage("build-cost takes `--handlers N`, also several times")
        })?);
    }
    Ok(if counts.is_empty() { vec![1, 100, 300] } else { counts })
}

struct Cost {
    handlers: usize,
    clean: Duration,
    incremental: Duration,
    binary_bytes: u64,
}

impl Cost {
    fn per_handler(&self, base: &Self) -> String {
        let handlers = (self.handlers - base.handlers) as f64;
        let time = self.clean.saturating_sub(base.clean).as_secs_f64() * 1_000.0 / handlers;
        let size = megabytes(self.binary_bytes.saturating_sub(base.binary_bytes)) / handlers;
        format!("{time:.0} ms, {size:.2} MB")
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

fn measure_all(folder: &Path, counts: &[usize]) -> Result<Vec<Cost>, Failure> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest(&workspace_root()))?;
    fs::copy(workspace_root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    counts.iter().map(|handlers| measure(folder, *handlers)).collect()
}

fn measure(folder: &Path, handlers: usize) -> Result<Cost, Failure> {
    let source = folder.join("src/main.rs");
    fs::write(&source, service(handlers, 0))?;
    build(folder)?;
    let mut clean = Vec::new();
    let mut incremental = Vec::new();
    for repeat in 1..=REPEATS {
        cargo(folder, &["clean", "--package", PACKAGE])?;
        clean.push(build(folder)?);
        fs::write(&source, service(handlers, repeat))?;
        incremental.push(build(folder)?);
    }
    let binary_bytes = fs::metadata(binary(folder))?.len();
    Ok(Cost { handlers, clean: median(clean), incremental: median(incremental), binary_bytes })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn binary(folder: &Path) -> PathBuf {
    folder.join("target/debug").join(PACKAGE)
}

fn build(folder: &Path) -> Result<Duration, Failure> {
    let began = Instant::now();
    cargo(folder, &["build", "--quiet"])?;
    Ok(began.elapsed())
}

fn cargo(folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Failure::task(&format!(
        "`cargo {}` failed on the generated service:\n{text}",
        arguments.join(" ")
    )))
}

fn manifest(root: &Path) -> String {
    let mmate = root.join("mmate");
    format!(
        "[package]\nname = \"{PACKAGE}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         mmate = {{ path = \"{}\" }}\n\n[workspace]\n",
        mmate.display()
    )
}

/// A service as people write them: a message with a nested value, a state, a publisher. `body` makes
/// the text of the first handler's body differ.
fn service(handlers: usize, body: usize) -> String {
    let mut text = String::from(
        "use mmate::prelude::*;\n\n#[payload]\npub struct Item { pub product: String, pub quantity: u32 }\n\n\
         #[derive(Debug)]\npub struct Stock;\n\n#[provider]\nasync fn stock() -> Result<Stock> { Ok(Stock) }\n\n",
    );
    for number in 0..handlers {
        let changed = if number == 0 { body } else { 0 };
        text.push_str(&format!(
            "/// Message {number}.\n#[message(event, aggregate = \"item\", key = id)]\n\
             pub struct Event{number} {{ pub id: String, pub items: Vec<Item>, pub note: Option<String> }}\n\n\
             #[handler(concurrency = 16, timeout = \"30s\", retry(attempts = 5, backoff = exponential(\"100ms\", \"30s\")))]\n\
             async fn on_event_{number}(event: Event{number}, _stock: State<Stock>, context: Context) -> Result {{\n    \
             println!(\"{{}} {{}} {changed}\", event.id, context.attempt());\n    Ok(())\n}}\n\n"
        ));
    }
    text.push_str("#[mmate::main]\nasync fn main() -> mmate::Result { mmate::run().await }\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_body_changes_one_handler_only() {
        let (a, b) = (service(3, 0), service(3, 1));
        let different = a.lines().zip(b.lines()).filter(|(a, b)| a != b).count();
        assert_eq!((a.matches("#[handler").count(), different), (3, 1));
    }

    #[test]
    fn arguments_are_counts() {
        assert_eq!(parse(&[]).ok(), Some(vec![1, 100, 300]));
        assert_eq!(parse(&["--handlers".to_owned(), "7".to_owned()]).ok(), Some(vec![7]));
        assert!(parse(&["--handlers".to_owned(), "x".to_owned()]).is_err());
    }
}
