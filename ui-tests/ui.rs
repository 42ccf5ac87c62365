//! One run over all cases, and the rule that one mistake is one error.

use std::fs;
use std::path::{Path, PathBuf};

/// Cases with several mistakes, or where the compiler has more to say; see README.md.
const SEVERAL_ERRORS: [(&str, usize); 5] = [
    ("handler/everything_at_once", 5),
    ("handler/message_is_not_first", 2),
    ("handler/two_mistakes_two_errors", 2),
    ("message/field_that_cannot_travel", 7),
    ("workflow/everything_at_once", 15),
];

/// No rule goes without its case.
const CASES_MIN: usize = 380;

#[test]
fn the_compiler_answers_as_written_down() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*/*.rs");
}

#[test]
fn one_mistake_is_one_error() {
    let answers = answers(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fail"));
    assert!(answers.len() >= CASES_MIN, "{} cases", answers.len());
    let wrong: Vec<String> = answers
        .iter()
        .filter_map(|(case, text)| {
            let errors = text.lines().filter(|line| line.starts_with("error")).count();
            let several = SEVERAL_ERRORS.iter().find(|(name, _)| name == case);
            let expected = several.map_or(1, |(_, count)| *count);
            (errors != expected).then(|| format!("{case}: {errors} errors, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The text of every `.stderr` file, by folder and name.
fn answers(fail: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files(fail).iter().flat_map(|folder| files(folder)) {
        if file.extension().is_some_and(|extension| extension == "stderr") {
            let case = file.with_extension("");
            let case = case.strip_prefix(fail).expect("a file below the folder");
            let text = fs::read_to_string(&file).expect("a readable file");
            found.push((case.display().to_string(), text));
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}
