//! The command line.

use std::time::Duration;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: cargo xtask bench -- [options]
  --quick          few rounds of few messages: does it run, is anything far off
  --rounds N       rounds that count (15)
  --messages N     messages per program and round (20000)
  --minutes N      time for all of it; cases beyond their share stop after three rounds (45)
  --only GROUP     publish, consume, e2e, ask, properties or memory; may be repeated
  --profile N      publish --messages in memory on one thread, consume N of them, print nothing: for
                   `valgrind --tool=callgrind`; what a run with N consumed costs more than one with
                   none is the cost of consuming
  --case TEXT      only cases in whose title this stands, as `classic, 32 at`
  --program NAME   let one program of each case run alone, as `hand-tuned` or `Mmate`: for a profiler";

const MESSAGES_MIN: u32 = 100;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Publishing with confirms.
    Publish,
    /// Consuming with acks.
    Consume,
    /// Publishing while consuming.
    EndToEnd,
    /// Questions and their answers.
    Ask,
    /// What properties and headers cost.
    Properties,
    /// Without a broker.
    Memory,
}

const GROUPS: [(&str, Group); 6] = [
    ("publish", Group::Publish),
    ("consume", Group::Consume),
    ("e2e", Group::EndToEnd),
    ("ask", Group::Ask),
    ("properties", Group::Properties),
    ("memory", Group::Memory),
];

/// What the program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Contests and a table.
    Measure,
    /// A program for a profiler, which consumes so many messages.
    Profile(u32),
    /// The usage.
    Help,
}

/// The parsed command line.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What to do.
    pub(crate) mode: Mode,
    /// Rounds that count.
    pub(crate) rounds: u32,
    /// Messages per program and round.
    pub(crate) messages: u32,
    /// How long all of it may take.
    pub(crate) time_max: Duration,
    /// What stands in the title of each case.
    pub(crate) case: String,
    /// The one program that runs.
    pub(crate) program: Option<String>,
    only: Vec<Group>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// Says which argument is not understood.
    pub(crate) fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, String> {
        let mut options = Self {
            mode: Mode::Measure,
            rounds: 15,
            messages: 20_000,
            time_max: Duration::from_secs(45 * 60),
            case: String::new(),
            program: None,
            only: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // `cargo xtask bench -- --quick` hands it on.
                "--" => {}
                "--quick" => {
                    options.rounds = 4;
                    options.messages = 5_000;
                    options.time_max = Duration::from_secs(5 * 60);
                }
                "--rounds" => options.rounds = number(&argument, arguments.next().as_deref(), 1)?,
                "--messages" => {
                    options.messages = number(&argument, arguments.next().as_deref(), MESSAGES_MIN)?
                }
                "--minutes" => {
                    let minutes = number(&argument, arguments.next().as_deref(), 1)?;
                    options.time_max = Duration::from_secs(60 * u64::from(minutes));
                }
                "--only" => options.only.push(group(arguments.next().as_deref())?),
                "--profile" => {
                    options.mode =
                        Mode::Profile(number(&argument, arguments.next().as_deref(), 0)?);
                }
                "--case" => options.case = text(&argument, arguments.next())?,
                "--program" => options.program = Some(text(&argument, arguments.next())?),
                "--help" | "-h" => options.mode = Mode::Help,
                other => return Err(format!("`{other}` is not understood")),
            }
        }
        Ok(options)
    }

    /// The groups to measure, in their order.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let wanted = |group: &Group| self.only.is_empty() || self.only.contains(group);
        GROUPS.into_iter().map(|(_, group)| group).filter(wanted).collect()
    }
}

fn text(option: &str, given: Option<String>) -> Result<String, String> {
    given.ok_or_else(|| format!("`{option}` needs a text"))
}

fn number(option: &str, text: Option<&str>, min: u32) -> Result<u32, String> {
    let parsed = text.and_then(|text| text.parse().ok());
    parsed
        .filter(|number| *number >= min)
        .ok_or_else(|| format!("`{option}` needs a number from {min}"))
}

fn group(name: Option<&str>) -> Result<Group, String> {
    let found = GROUPS.iter().find(|(known, _)| Some(*known) == name);
    found
        .map(|(_, group)| *group)
        .ok_or_else(|| format!("`--only` needs one of {}", GROUPS.map(|(name, _)| name).join(", ")))
}
