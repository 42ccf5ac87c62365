//! `dlq list show replay purge`: the dead-letter tools on the command line.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Arg, ArgAction, ArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::contract::{HeaderValue, Headers, Source};
use crate::deadletter::{
    DeadLetter, DeadLetterQueue, DeadLetters, Outcome, Page, Selection, ShownLetter, moment,
};
use crate::error::{Error, Result};
use crate::runtime::app::App;
use crate::runtime::listing;

/// How much of an error's text stands in a table, in characters. `dlq show` and `--json` give all of it.
const ERROR_CHARS_MAX: usize = 80;

/// What is asked of the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    json: bool,
    /// How many messages to look at, if not the default.
    scan: Option<u16>,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Queues,
    List { queue: String, selection: Selection },
    Show { queue: String, id: String, body: bool },
    Replay { queue: String, selection: Selection, rate: Option<u32> },
    Purge { queue: String, selection: Selection },
}

pub(super) fn parser() -> clap::Command {
    clap::Command::new("dlq")
        .about("List, show, replay and purge dead letters")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_filters(clap::Command::new("list"))
                .about("List dead letters; without a queue, every dead-letter queue with its count")
                .arg(queue().required(false))
                .arg(scan())
                .arg(json_flag()),
        )
        .subcommand(
            clap::Command::new("show")
                .about("Show one dead letter with its headers")
                .arg(queue())
                .arg(Arg::new("id").value_name("ID").required(true).help("The message's id"))
                .arg(flag("body").help("Show the body too"))
                .arg(scan())
                .arg(json_flag()),
        )
        .subcommand(
            with_filters(clap::Command::new("replay"))
                .about("Send dead letters back to the queue that they failed in")
                .arg(queue())
                .arg(flag("all").help("Take every dead letter; needed where no filter is given"))
                .arg(
                    Arg::new("rate")
                        .long("rate")
                        .value_name("N")
                        .value_parser(clap::value_parser!(u32).range(1..))
                        .help("Messages per second; 100 if not said"),
                )
                .arg(scan())
                .arg(json_flag()),
        )
        .subcommand(
            with_filters(clap::Command::new("purge"))
                .about("Throw dead letters away, for ever")
                .arg(queue())
                .arg(flag("all").help("Take every dead letter; needed where no filter is given"))
                .arg(flag("yes").required(true).help("Yes, they shall be gone"))
                .arg(scan())
                .arg(json_flag()),
        )
}

fn queue() -> Arg {
    Arg::new("queue").value_name("QUEUE").required(true).help("The queue, or its dead-letter queue")
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn scan() -> Arg {
    Arg::new("scan")
        .long("scan")
        .value_name("N")
        .value_parser(clap::value_parser!(u16).range(1..))
        .help("How many messages to look at, the oldest first; 10000 if not said, at most 65535")
}

fn json_flag() -> Arg {
    flag("json").help("One JSON object per line")
}

fn with_filters(command: clap::Command) -> clap::Command {
    let time = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("TIME")
            .value_parser(|text: &str| moment(text, Source::system().now()))
            .help(help)
    };
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    command
        .arg(
            text("id", "ID", "Those with this id; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(text("reason", "REASON", "Those with this reason, such as `retries_exhausted`"))
        .arg(text("type", "TYPE", "Those of this message type"))
        .arg(time("after", "Those that died then or later: RFC 3339, or `2h` for two hours ago"))
        .arg(time("before", "Those that died before then"))
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("N")
                .value_parser(clap::value_parser!(u64).range(1..))
                .help("At most so many, the oldest first"),
        )
}

/// Reads the arguments behind `dlq`.
pub(super) fn request(matches: &ArgMatches) -> std::result::Result<Request, clap::Error> {
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(Request { json: false, scan: None, action: Action::Queues });
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let queue = text("queue");
    let json = matches.get_flag("json");
    let action = match (name, queue) {
        ("show", Some(queue)) => Action::Show {
            queue,
            id: text("id").unwrap_or_default(),
            body: matches.get_flag("body"),
        },
        ("replay", Some(queue)) => {
            let rate = matches.get_one("rate").copied();
            Action::Replay { queue, selection: deliberate(matches)?, rate }
        }
        ("purge", Some(queue)) => Action::Purge { queue, selection: deliberate(matches)? },
        (_, Some(queue)) => Action::List { queue, selection: selection(matches) },
        (_, None) => Action::Queues,
    };
    Ok(Request { json, scan: matches.get_one("scan").copied(), action })
}

fn selection(matches: &ArgMatches) -> Selection {
    let text = |name: &str| matches.get_one::<String>(name);
    let mut selection = Selection::all();
    for id in matches.get_many::<String>("id").into_iter().flatten() {
        selection = selection.id(id);
    }
    if let Some(reason) = text("reason") {
        selection = selection.reason(reason);
    }
    if let Some(message_type) = text("type") {
        selection = selection.message_type(message_type);
    }
    if let Some(after) = matches.get_one::<Timestamp>("after") {
        selection = selection.after(*after);
    }
    if let Some(before) = matches.get_one::<Timestamp>("before") {
        selection = selection.before(*before);
    }
    match matches.get_one("count") {
        Some(count) => selection.count(*count),
        None => selection,
    }
}

/// A selection that changes something: all of it only if that was said.
fn deliberate(matches: &ArgMatches) -> std::result::Result<Selection, clap::Error> {
    let selection = selection(matches);
    if selection.is_all() && !matches.get_flag("all") {
        let text = "no filter is given: say which dead letters, or `--all`\n";
        return Err(clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, text));
    }
    Ok(selection)
}

/// Does what was asked, and prints it.
pub(super) async fn execute(app: &App, request: Request) -> Result {
    let queues = app.plan().dead_letters();
    let transport = app.connect().await?;
    if transport.name() == "memory" {
        return Err(Error::Command(
            "`url` is `memory://`: the in-memory broker lives in the running process only, so there is nothing to look \
             at from outside\nhelp: give the `url` of the service's broker, or use `Running::dead_letters` in the \
             process itself"
                .to_owned(),
        ));
    }
    let tools = |queue: &DeadLetterQueue| {
        let tools = DeadLetters::new(transport.clone(), queue.clone());
        match request.scan {
            Some(max) => tools.scan_max(max),
            None => tools,
        }
    };
    let done = match &request.action {
        Action::Queues => overview(queues.iter().map(tools).collect(), request.json).await,
        action => match find(&queues, action) {
            Ok(queue) => act(&tools(queue), action, request.json).await,
            Err(error) => Err(error),
        },
    };
    // Also after a mistake: what was held goes back in order.
    transport.close().await;
    print(&done?);
    Ok(())
}

fn find<'a>(queues: &'a [DeadLetterQueue], action: &Action) -> Result<&'a DeadLetterQueue> {
    let (Action::List { queue: name, .. }
    | Action::Show { queue: name, .. }
    | Action::Replay { queue: name, .. }
    | Action::Purge { queue: name, .. }) = action
    else {
        return Err(Error::Command("no queue is named".to_owned()));
    };
    queues.iter().find(|queue| queue.answers_to(name)).ok_or_else(|| {
        let known: Vec<_> = queues.iter().flat_map(|queue| queue.origins.clone()).collect();
        Error::Command(format!(
            "this service has no queue `{name}`\nhelp: its queues are {}",
            known.join(", ")
        ))
    })
}

async fn act(tools: &DeadLetters, action: &Action, json: bool) -> Result<String> {
    Ok(match action {
        Action::List { selection, .. } => listed(&tools.list(selection).await?, json),
        Action::Show { id, body, .. } => match tools.show(id).await? {
            Some(shown) if json => line(&shown_json(&shown, *body)),
            Some(shown) => shown_text(&shown, *body),
            None => {
                let queue = &tools.queue().queue.name;
                return Err(Error::Command(format!("there is no dead letter `{id}` in `{queue}`")));
            }
        },
        Action::Replay { selection, rate, .. } => {
            let tools = tools.clone();
            let tools = match rate {
                Some(rate) => tools.rate_per_second(*rate),
                None => tools,
            };
            outcome("replayed", &tools.replay(selection).await?, json)
        }
        Action::Purge { selection, .. } => outcome("purged", &tools.purge(selection).await?, json),
        Action::Queues => String::new(),
    })
}

/// Every dead-letter queue with its count; one that nobody has declared yet has none.
async fn overview(tools: Vec<DeadLetters>, json: bool) -> Result<String> {
    let mut rows = vec![["DEAD-LETTER QUEUE", "MESSAGES", "OF QUEUE"].map(str::to_owned).to_vec()];
    let mut lines = String::new();
    for tools in tools {
        let queue = tools.queue();
        let count = match tools.count().await {
            Ok(count) => Some(count),
            Err(error) if error.kind() == crate::transport::TransportErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let name = &queue.queue.name;
        let shown = count.map_or_else(|| "no queue".to_owned(), |count| count.to_string());
        rows.push(vec![name.clone(), shown, queue.origins.join(", ")]);
        let object = json!({ "queue": name, "messages": count, "origins": queue.origins });
        lines.push_str(&line(&object));
    }
    Ok(if json { lines } else { listing::table(&rows) })
}

fn listed(page: &Page, json: bool) -> String {
    if json {
        return page
            .letters
            .iter()
            .map(|letter| line(&Value::Object(letter_json(letter))))
            .collect();
    }
    let header = ["ID", "TYPE", "REASON", "DIED", "ATTEMPTS", "QUEUE", "HANDLER", "BYTES", "ERROR"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| printable(&text));
    for letter in &page.letters {
        let error = letter.error.as_ref().map(|error| shortened(error));
        rows.push(vec![
            dash(letter.id.clone()),
            dash(letter.message_type.clone()),
            printable(&letter.reason),
            dash(letter.time.map(|time| time.to_string())),
            dash(letter.attempts.map(|attempts| attempts.to_string())),
            dash(letter.queue.clone()),
            dash(letter.handler.clone()),
            letter.bytes.to_string(),
            dash(error),
        ]);
    }
    let mut text = listing::table(&rows);
    let _ = writeln!(
        text,
        "\n{} dead letters fit, {} of {} were looked at",
        page.letters.len(),
        page.looked_at,
        page.waiting
    );
    text.push_str(unseen(page.looked_at, page.waiting));
    text
}

fn unseen(looked_at: u64, waiting: u64) -> &'static str {
    if looked_at < waiting {
        "help: `--scan N` looks further, unless `--count` or somebody else has taken its share\n"
    } else {
        ""
    }
}

fn outcome(what: &str, outcome: &Outcome, json: bool) -> String {
    let Outcome { moved, without_origin, looked_at, waiting } = *outcome;
    if json {
        return line(&json!({
            what: moved, "without_origin": without_origin, "looked_at": looked_at, "waiting": waiting,
        }));
    }
    let mut text =
        format!("{moved} {what}; {looked_at} of {waiting} dead letters were looked at\n");
    text.push_str(unseen(looked_at, waiting));
    if without_origin > 0 {
        let _ = writeln!(
            text,
            "{without_origin} were left: nobody wrote down which queue they came from"
        );
    }
    text
}

fn shown_text(shown: &ShownLetter, body: bool) -> String {
    let mut text = String::new();
    for (name, value) in letter_json(&shown.letter) {
        let value = plain(&value);
        let _ = writeln!(text, "{name}: {value}");
    }
    text.push_str("headers:\n");
    for (name, value) in headers_json(&shown.properties.headers) {
        let value = plain(&value);
        let _ = writeln!(text, "  {}: {value}", printable(&name));
    }
    if body {
        text.push_str("body:\n");
        match std::str::from_utf8(&shown.body) {
            Ok(body) => text.push_str(&printable_lines(body)),
            Err(_) => text.push_str(&hex(&shown.body)),
        }
        text.push('\n');
    }
    text
}

fn shown_json(shown: &ShownLetter, body: bool) -> Value {
    let mut object = letter_json(&shown.letter);
    object.insert("headers".to_owned(), Value::Object(headers_json(&shown.properties.headers)));
    if body {
        match std::str::from_utf8(&shown.body) {
            Ok(text) => object.insert("body".to_owned(), text.into()),
            Err(_) => object.insert("body_hex".to_owned(), hex(&shown.body).into()),
        };
    }
    Value::Object(object)
}

fn letter_json(letter: &DeadLetter) -> Map<String, Value> {
    let DeadLetter {
        id,
        message_type,
        reason,
        error,
        time,
        attempts,
        queue,
        handler,
        correlation_id,
        bytes,
    } = letter;
    let mut object = Map::new();
    for (name, value) in [
        ("id", json!(id)),
        ("type", json!(message_type)),
        ("reason", json!(reason)),
        ("error", json!(error)),
        ("time", json!(time.map(|time| time.to_string()))),
        ("attempts", json!(attempts)),
        ("queue", json!(queue)),
        ("handler", json!(handler)),
        ("correlation_id", json!(correlation_id)),
        ("bytes", json!(bytes)),
    ] {
        object.insert(name.to_owned(), value);
    }
    object
}

fn headers_json(headers: &Headers) -> Map<String, Value> {
    let show = |name: &str, value: &HeaderValue| {
        if is_secret(name) { "***".into() } else { json!(value) }
    };
    headers.iter().map(|(name, value)| (name.to_owned(), show(name, value))).collect()
}

/// A header that looks as if it opened a door. Whoever may read the queue can see it; a terminal and
/// its history need not.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "password", "secret", "token", "api-key", "cookie"]
        .iter()
        .any(|word| name.contains(word))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| printable(&value.to_string()), printable)
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// Who reads the first lines of a long list and closes the pipe has seen enough.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> std::result::Result<Request, clap::Error> {
        let all = std::iter::once("dlq").chain(arguments.iter().copied());
        request(&parser().try_get_matches_from(all)?)
    }

    fn action(arguments: &[&str]) -> Action {
        parse(arguments).unwrap().action
    }

    #[test]
    fn filters_become_a_selection() {
        let all = ["replay", "q", "--id", "a", "--id", "b", "--reason", "panic", "--type", "T"];
        let more = ["--after", "2026-02-03T04:05:06Z", "--count", "3", "--rate", "7"];
        let arguments: Vec<&str> = all.into_iter().chain(more).collect();
        let at = "2026-02-03T04:05:06Z".parse().unwrap();
        let selection = Selection::all().id("a").id("b").reason("panic").message_type("T");
        let selection = selection.after(at).count(3);
        let queue = "q".to_owned();
        assert_eq!(action(&arguments), Action::Replay { queue, selection, rate: Some(7) });
        assert_eq!(action(&["list"]), Action::Queues);
        let request = parse(&["list", "q", "--json", "--scan", "65535"]).unwrap();
        assert!(request.json && request.scan == Some(65_535));
        assert!(parse(&["list", "q", "--scan", "65536"]).is_err());
    }

    #[test]
    fn what_changes_something_must_be_said_in_full() {
        assert!(parse(&["replay", "q"]).unwrap_err().to_string().contains("--all"));
        assert!(parse(&["replay", "q", "--all"]).is_ok());
        assert!(parse(&["purge", "q", "--all"]).unwrap_err().to_string().contains("--yes"));
        assert!(parse(&["purge", "q", "--yes"]).unwrap_err().to_string().contains("--all"));
        assert!(parse(&["purge", "q", "--all", "--yes"]).is_ok());
        assert!(parse(&["replay", "q", "--all", "--rate", "0"]).is_err());
        assert!(parse(&["list", "q", "--after", "yesterday"]).is_err());
    }

    #[test]
    fn secrets_and_what_a_terminal_obeys_are_not_shown() {
        let mut headers = Headers::new();
        headers.set("Authorization", "Bearer hunter2");
        headers.set("tenant", "a");
        let shown = headers_json(&headers);
        assert_eq!((&shown["Authorization"], &shown["tenant"]), (&json!("***"), &json!("a")));
        assert_eq!(printable("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(plain(&json!(["a\u{9b}2J"])), r#"["a 2J"]"#);
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
