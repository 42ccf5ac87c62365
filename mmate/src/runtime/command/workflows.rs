//! `workflows list show history graph wait cancel resume skip`: instances of workflows on the command line.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::contract::Source;
use crate::deadletter::moment;
use crate::error::{Error, Result};
use crate::publish::IntoDuration as _;
use crate::runtime::app::App;
use crate::runtime::listing;
use crate::store::{HistoryEntry, InstanceFilter, WorkflowStatus};
use crate::workflow::{InstanceView, WorkflowError, Workflows};

/// How much of an error's text stands in a table, in characters. `show` and `--json` give all of it.
const ERROR_CHARS_MAX: usize = 80;

/// How often `wait` looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    json: bool,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    List(InstanceFilter),
    Show { id: Uuid, state: bool },
    History(Uuid),
    Graph(String),
    Wait { id: Uuid, timeout: Duration },
    Cancel(Uuid),
    Resume(Uuid),
    Skip(Uuid),
}

pub(super) fn parser() -> clap::Command {
    let command =
        |name: &'static str, about: &'static str| clap::Command::new(name).about(about).arg(id());
    clap::Command::new("workflows")
        .about("Look at instances of workflows, and change their way")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list())
        .subcommand(
            command("show", "Show how far an instance is")
                .arg(flag("state").help("Show the state too"))
                .arg(json_flag()),
        )
        .subcommand(
            command("history", "Show everything that happened to an instance").arg(json_flag()),
        )
        .subcommand(
            clap::Command::new("graph")
                .about("Write the stages as Mermaid text; of an instance, with what became of each")
                .arg(
                    Arg::new("of")
                        .value_name("WORKFLOW|ID")
                        .required(true)
                        .help("A workflow or an instance"),
                ),
        )
        .subcommand(
            command(
                "wait",
                "Wait until an instance has come to its end, and show how it gets there",
            )
            .arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("TIME")
                    .default_value("1h")
                    .value_parser(|text: &str| text.into_duration())
                    .help("How long at most, like `10m`"),
            ),
        )
        .subcommand(command("cancel", "Undo what an instance has done, and end it"))
        .subcommand(command("resume", "Try the compensation again that an instance is stuck in"))
        .subcommand(command("skip", "Take that compensation for done, and go on undoing"))
}

fn list() -> clap::Command {
    let time = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("TIME")
            .value_parser(|text: &str| moment(text, Source::system().now()))
            .help(help)
    };
    clap::Command::new("list")
        .about("List instances, the newest first")
        .arg(Arg::new("workflow").long("workflow").value_name("ID").action(ArgAction::Append).help(
            "Those of this workflow; may be given several times. Without it those of this program",
        ))
        .arg(
            Arg::new("status")
                .long("status")
                .value_name("STATUS")
                .action(ArgAction::Append)
                .value_parser(|text: &str| text.parse::<WorkflowStatus>())
                .help(
                    "Those in this state, such as `running` or `stuck`; may be given several times",
                ),
        )
        .arg(time("since", "Those started then or later: RFC 3339, or `2h` for two hours ago"))
        .arg(time("before", "Those started before then"))
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(
                    clap::value_parser!(u32).range(1..=i64::from(InstanceFilter::LIMIT_MAX)),
                )
                .help("At most so many; 100 if not said, at most 10000"),
        )
        .arg(json_flag())
}

fn id() -> Arg {
    Arg::new("id")
        .value_name("ID")
        .required(true)
        .value_parser(|text: &str| Uuid::parse_str(text).map_err(|_| "an instance's id is a UUID"))
        .help("The instance's id")
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn json_flag() -> Arg {
    flag("json").help("One JSON object per line")
}

/// Reads the arguments behind `workflows`.
pub(super) fn request(matches: &ArgMatches) -> Request {
    let Some((name, matches)) = matches.subcommand() else {
        return Request { json: false, action: Action::List(InstanceFilter::default()) };
    };
    let id = || matches.get_one::<Uuid>("id").copied().unwrap_or_default();
    let json = matches!(name, "list" | "show" | "history") && matches.get_flag("json");
    let action = match name {
        "show" => Action::Show { id: id(), state: matches.get_flag("state") },
        "history" => Action::History(id()),
        "graph" => Action::Graph(matches.get_one::<String>("of").cloned().unwrap_or_default()),
        "wait" => {
            let timeout = matches.get_one::<Duration>("timeout").copied().unwrap_or_default();
            Action::Wait { id: id(), timeout }
        }
        "cancel" => Action::Cancel(id()),
        "resume" => Action::Resume(id()),
        "skip" => Action::Skip(id()),
        _ => Action::List(filter(matches)),
    };
    Request { json, action }
}

fn filter(matches: &ArgMatches) -> InstanceFilter {
    InstanceFilter {
        workflows: matches.get_many("workflow").into_iter().flatten().cloned().collect(),
        statuses: matches.get_many("status").into_iter().flatten().copied().collect(),
        since: matches.get_one::<Timestamp>("since").copied(),
        before: matches.get_one::<Timestamp>("before").copied(),
        limit: matches.get_one::<u32>("limit").copied(),
    }
}

/// Does what was asked, and prints it.
pub(super) async fn execute(app: &App, request: Request) -> Result {
    let Request { json, action } = request;
    if let Action::Graph(of) = &action
        && let Some(text) = app.workflow_graph(of)
    {
        print!("{text}");
        return Ok(());
    }
    let workflows = app.workflows().await?;
    let asked = match action {
        Action::List(filter) => workflows.list(&filter).await.map(|found| shown_list(&found, json)),
        Action::Show { id, state } => show(&workflows, id, state, json).await,
        Action::History(id) => workflows.history(id).await.map(|lines| shown_history(&lines, json)),
        Action::Graph(of) => graph(&workflows, &of).await,
        Action::Wait { id, timeout } => wait(&workflows, id, timeout).await,
        Action::Cancel(id) => workflows.cancel(id).await.map(|()| wished("is being cancelled", id)),
        Action::Resume(id) => workflows.resume(id).await.map(|()| wished("is tried again", id)),
        Action::Skip(id) => workflows.skip(id).await.map(|()| wished("goes on undoing", id)),
    };
    print!("{}", asked.map_err(|error| Error::Command(error.to_string()))?);
    Ok(())
}

fn wished(what: &str, id: Uuid) -> String {
    format!("instance {id} {what}; `workflows wait {id}` shows how it goes on\n")
}

async fn find(workflows: &Workflows, id: Uuid) -> Result<InstanceView, WorkflowError> {
    workflows.get(id).await?.ok_or_else(|| WorkflowError::not_found(id))
}

async fn graph(workflows: &Workflows, of: &str) -> Result<String, WorkflowError> {
    let id = Uuid::parse_str(of).map_err(|_| WorkflowError::unknown(of))?;
    let view = find(workflows, id).await?;
    let history = workflows.history(id).await?;
    Ok(workflows.draw(&view, &history))
}

fn shown_list(found: &[InstanceView], json: bool) -> String {
    if json {
        return found.iter().map(|view| format!("{}\n", as_json(view, false))).collect();
    }
    let heads = ["ID", "WORKFLOW", "STATUS", "STAGE", "STARTED", "CHANGED", "FAILURE"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|view| {
        let instance = &view.instance;
        vec![
            instance.id.to_string(),
            versioned(view),
            instance.status.to_string(),
            view.stage.clone(),
            seconds(instance.created_at),
            seconds(instance.updated_at),
            view.failure.as_ref().map_or_else(String::new, |failure| short(&failure.error)),
        ]
    }));
    listing::table(&rows)
}

fn versioned(view: &InstanceView) -> String {
    match view.instance.version {
        1 => view.instance.workflow.clone(),
        version => format!("{} v{version}", view.instance.workflow),
    }
}

fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn short(text: &str) -> String {
    let line = text.replace('\n', " ");
    if line.chars().count() <= ERROR_CHARS_MAX {
        return line;
    }
    line.chars().take(ERROR_CHARS_MAX - 1).chain(['…']).collect()
}

async fn show(
    workflows: &Workflows,
    id: Uuid,
    state: bool,
    json: bool,
) -> Result<String, WorkflowError> {
    let view = find(workflows, id).await?;
    if json {
        return Ok(format!("{}\n", as_json(&view, state)));
    }
    let instance = &view.instance;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<10}{value}");
        }
    };
    line("id", &id.to_string());
    line("workflow", &versioned(&view));
    line("status", instance.status.as_str());
    line("stage", &view.stage);
    line("started", &instance.created_at.to_string());
    line("changed", &instance.updated_at.to_string());
    line("owner", instance.owner.as_deref().unwrap_or_default());
    line("waits at", instance.awaits.as_deref().unwrap_or_default());
    line("wish", instance.wish.map_or("", |wish| wish.as_str()));
    if let Some(failure) = &view.failure {
        line("failed in", &failure.stage);
        line("failure", &failure.error);
    }
    if state {
        line("state", view.state.get());
    }
    Ok(text)
}

fn as_json(view: &InstanceView, state: bool) -> Value {
    let instance = &view.instance;
    let mut object = json!({
        "id": instance.id,
        "workflow": instance.workflow,
        "version": instance.version,
        "status": instance.status.as_str(),
        "stage": view.stage,
        "startedAt": instance.created_at,
        "changedAt": instance.updated_at,
        "owner": instance.owner,
        "awaits": instance.awaits,
        "wish": instance.wish.map(|wish| wish.as_str()),
        "failure": view.failure,
    });
    if state {
        object["state"] = serde_json::from_str(view.state.get()).unwrap_or(Value::Null);
    }
    object
}

fn shown_history(lines: &[HistoryEntry], json: bool) -> String {
    if json {
        let object = |line: &HistoryEntry| {
            json!({
                "seq": line.seq,
                "position": line.position,
                "stage": line.stage,
                "event": line.event.as_str(),
                "attempt": line.attempt,
                "at": line.at,
                "tookMs": u64::try_from(line.took.as_millis()).unwrap_or(u64::MAX),
                "reason": line.reason,
            })
        };
        return lines.iter().map(|line| format!("{}\n", object(line))).collect();
    }
    let heads = ["AT", "EVENT", "STAGE", "ATTEMPT", "TOOK", "REASON"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(|line| {
        let attempt = if line.attempt == 0 { String::new() } else { line.attempt.to_string() };
        let took = if line.took.is_zero() { String::new() } else { format!("{:?}", line.took) };
        let reason = line.reason.as_deref().map(short).unwrap_or_default();
        vec![line.at.to_string(), line.event.to_string(), line.stage.clone(), attempt, took, reason]
    }));
    listing::table(&rows)
}

/// Shows every line of the history as it comes; on a terminal also where the instance stands.
async fn wait(workflows: &Workflows, id: Uuid, timeout: Duration) -> Result<String, WorkflowError> {
    let until = tokio::time::Instant::now() + timeout;
    let on_terminal = std::io::stderr().is_terminal();
    let mut shown = 0;
    loop {
        let view = find(workflows, id).await?;
        let history = workflows.history(id).await?;
        for line in history.iter().skip(shown) {
            let reason = line.reason.as_deref().map(short).unwrap_or_default();
            let text = format!("{} {:<12} {} {reason}", line.at, line.event.as_str(), line.stage);
            println!("{}{}", clear(on_terminal), text.trim_end());
        }
        shown = history.len();
        let status = view.instance.status;
        if status.is_end() || status == WorkflowStatus::Stuck {
            return Ok(format!("{}instance {id} is {status}\n", clear(on_terminal)));
        }
        if tokio::time::Instant::now() >= until {
            return Ok(format!(
                "{}instance {id} is still {status} after {timeout:?}\n",
                clear(on_terminal)
            ));
        }
        if on_terminal {
            eprint!("{}{status}: {}", clear(true), view.stage);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Takes back the line that says where it stands.
const fn clear(on_terminal: bool) -> &'static str {
    if on_terminal { "\r\x1b[2K" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HistoryEvent;

    const ID: &str = "11112222-3333-4444-8555-666677778888";

    fn parse(arguments: &[&str]) -> std::result::Result<Action, clap::Error> {
        let all = std::iter::once("workflows").chain(arguments.iter().copied());
        Ok(request(&parser().try_get_matches_from(all)?).action)
    }

    #[test]
    fn instances_are_named_by_their_id_and_listed_by_what_is_said() {
        let id = Uuid::parse_str(ID).unwrap();
        assert_eq!(parse(&["cancel", ID]).unwrap(), Action::Cancel(id));
        assert_eq!(parse(&["show", ID, "--state"]).unwrap(), Action::Show { id, state: true });
        assert_eq!(parse(&["graph", "order"]).unwrap(), Action::Graph("order".to_owned()));
        let timeout = Duration::from_secs(600);
        assert_eq!(parse(&["wait", ID, "--timeout", "10m"]).unwrap(), Action::Wait { id, timeout });
        let listed = parse(&["list", "--status", "stuck", "--status", "running", "--limit", "5"]);
        let statuses = vec![WorkflowStatus::Stuck, WorkflowStatus::Running];
        let filter = InstanceFilter { statuses, limit: Some(5), ..InstanceFilter::default() };
        assert_eq!(listed.unwrap(), Action::List(filter));
        for wrong in [["cancel", "7"], ["list", "--status=lost"], ["list", "--limit=0"]] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_history_is_a_table_or_a_line_of_json_each() {
        let at = Timestamp::from_millisecond(1_500).unwrap();
        let line = HistoryEntry::new(3, "charge", HistoryEvent::Retried, at)
            .attempt(2)
            .took(Duration::from_millis(40))
            .because("no answer\nat all");
        let table = shown_history(std::slice::from_ref(&line), false);
        assert!(
            table
                .lines()
                .nth(1)
                .unwrap()
                .ends_with("retried  charge  2        40ms  no answer at all"),
            "{table}"
        );
        let json: Value = serde_json::from_str(&shown_history(&[line], true)).unwrap();
        assert_eq!((json["event"].as_str(), json["tookMs"].as_u64()), (Some("retried"), Some(40)));
    }
}
