//! The house rules that no compiler checks: import order, forbidden words per room, budgets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms in reading order: each may import only those to its left.
const ROOMS: [&str; 16] = [
    "contract",
    "observability",
    "reliability",
    "store",
    "transport",
    "publish",
    "handler",
    "dispatch",
    "consume",
    "bridge",
    "workflow",
    "deadletter",
    "runtime",
    "http",
    "testing",
    "build",
];

/// Seen by all, sees nothing of theirs that would make a circle.
const SHARED: [&str; 1] = ["error"];

/// A word and the only places (prefixes under `mmate/src`) where it may stand.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    ("axum", &["http/"]),
    ("lapin", &["transport/amqp/"]),
    ("sqlx", &["store/"]),
    ("jsonschema", &["contract/validate.rs"]),
    ("schemars::generate", &["contract/schema.rs"]),
    (
        ".settle(",
        &[
            "consume/flow.rs",
            // Replies are the bridge's own: no handler sees them.
            "bridge/desk.rs",
            "deadletter/look.rs",
            "transport/",
            "testing/conformance/",
            "testing/faults.rs",
        ],
    ),
    ("clap::", &["runtime/command", "runtime/ledger.rs"]),
    ("std::process::exit", &[]),
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    /// Relative to `mmate/src`, or to the workspace for other crates.
    name: String,
    text: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a member of the workspace")
        .to_owned()
}

fn sources(folder: &Path, base: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder of sources").flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, base, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(base).expect("under the base").display().to_string();
            found
                .push(Source { name, text: fs::read_to_string(&path).expect("a readable source") });
        }
    }
}

fn library() -> Vec<Source> {
    let base = workspace().join("mmate/src");
    let mut found = Vec::new();
    sources(&base, &base, &mut found);
    assert!(found.len() > 40, "the library has more files than {}", found.len());
    found
}

fn room_of(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or(name)
}

/// `crate::room` mentions with their line numbers, outside comments.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for rest in code.split("crate::").skip(1) {
            let room: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((index + 1, room));
        }
    }
    found
}

#[test]
fn a_room_imports_only_rooms_to_its_left() {
    let rank: BTreeMap<&str, usize> =
        ROOMS.iter().enumerate().map(|(index, room)| (*room, index)).collect();
    let mut broken = Vec::new();
    for source in library() {
        let Some(own) = rank.get(room_of(&source.name)) else { continue };
        for (line, room) in imports(&source.text) {
            let allowed = rank.get(room.as_str()).is_none_or(|other| other <= own);
            if !allowed {
                broken.push(format!("mmate/src/{}:{line} imports `{room}`", source.name));
            }
        }
    }
    assert!(broken.is_empty(), "imports against the order {ROOMS:?}:\n{}", broken.join("\n"));
}

#[test]
fn every_folder_of_the_library_is_a_known_room() {
    let known = ["lib", "prelude", "macros", "__private"];
    let unknown: Vec<_> = library()
        .into_iter()
        .map(|source| room_of(&source.name).to_owned())
        .filter(|room| {
            !ROOMS.contains(&room.as_str())
                && !SHARED.contains(&room.as_str())
                && !known.contains(&room.as_str())
        })
        .collect();
    assert!(unknown.is_empty(), "rooms without a place in the order: {unknown:?}");
}

#[test]
fn words_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for source in library() {
        for (index, line) in
            source.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for (word, places) in FORBIDDEN {
                if line.contains(word) && !places.iter().any(|place| source.name.starts_with(place))
                {
                    broken.push(format!("mmate/src/{}:{} says `{word}`", source.name, index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "words outside their rooms:\n{}", broken.join("\n"));
}

#[test]
fn files_and_functions_stay_within_their_budgets() {
    let base = workspace();
    let mut all = Vec::new();
    for member in
        ["mmate/src", "mmate-macros/src", "xtask/src", "examples", "tests/it", "tests/bench"]
    {
        if base.join(member).exists() {
            sources(&base.join(member), &base, &mut all);
        }
    }
    let mut broken = Vec::new();
    for source in &all {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{} has {lines} lines; at most {FILE_LINES_MAX}", source.name));
        }
        for (line, length) in long_functions(&source.text) {
            broken.push(format!(
                "{}:{line} is a function of {length} lines; at most {FUNCTION_LINES_MAX}",
                source.name
            ));
        }
    }
    assert!(broken.is_empty(), "over budget:\n{}", broken.join("\n"));
}

/// Functions by their indentation: rustfmt puts the closing brace under the `fn`.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "const fn ",
            "pub const fn ",
        ]
        .iter()
        .any(|start| code.starts_with(start));
        if !is_function {
            continue;
        }
        let end = lines.iter().skip(start).position(|line| {
            let same_level = line.len() - line.trim_start().len() == indent;
            // A declaration without a body ends with a semicolon.
            same_level && (line.trim_start() == "}" || line.ends_with(';'))
        });
        if let Some(length) = end.filter(|length| length + 1 > FUNCTION_LINES_MAX) {
            found.push((start + 1, length + 1));
        }
    }
    found
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let base = workspace();
    let mut all = Vec::new();
    for member in ["mmate/src", "mmate-macros/src", "xtask/src", "examples", "tests/it"] {
        if base.join(member).exists() {
            sources(&base.join(member), &base, &mut all);
        }
    }
    let words = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("#[ig", "nore]\n")];
    // The tests of the macros hand attributes of all kinds to them.
    let ours = |source: &&Source| !source.name.starts_with("mmate-macros/src/tests");
    let broken: Vec<_> = all
        .iter()
        .filter(ours)
        .flat_map(|source| {
            words
                .iter()
                .filter(|word| source.text.contains(**word))
                .map(|word| format!("{}: {word}", source.name))
        })
        .collect();
    assert!(broken.is_empty(), "unfinished:\n{}", broken.join("\n"));
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(
        imports("use crate::runtime::App;\n// crate::x\nlet a = crate::error::E;"),
        [(1, "runtime".into()), (3, "error".into())]
    );
    let long = format!("fn f() {{\n{}}}\n", "    a();\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(long_functions(&long), [(1, FUNCTION_LINES_MAX + 2)]);
    assert!(long_functions("fn f() {\n}\n").is_empty());
}

/// A promise in the docs names the test that holds it: a word in backticks with three underscores or
/// more is the name of a test.
#[test]
fn every_test_that_the_docs_name_exists() {
    let mut code = Vec::new();
    for folder in ["tests/it", "examples/tests", "mmate/src", "xtask/src"] {
        sources(&workspace().join(folder), &workspace(), &mut code);
    }
    let exists =
        |name: &str| code.iter().any(|source| source.text.contains(&format!("fn {name}(")));
    let mut missing = Vec::new();
    let mut named = 0;
    for page in fs::read_dir(workspace().join("docs")).expect("the docs").flatten() {
        let text = fs::read_to_string(page.path()).expect("a page");
        let words = text.split('`').skip(1).step_by(2);
        for name in
            words.filter(|word| word.matches('_').count() >= 3 && !word.contains(['.', ' ']))
        {
            named += 1;
            if !exists(name) {
                missing.push(format!("{}: `{name}`", page.path().display()));
            }
        }
    }
    assert!(missing.is_empty(), "no test has this name:\n{}", missing.join("\n"));
    assert!(named > 10, "the docs name tests");
}
