//! Schemas at build time: a contracts module and a contracts crate, written by a build script that
//! depends on `mmate` alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MESSAGES: &str = "
use mmate::{message, payload};

/// Asks for an order.
#[message(command, service = \"orders\")]
pub struct CreateOrder { pub customer_id: String, pub items: Vec<Item>, pub note: Option<String> }

#[message(event, aggregate = \"order\", key = order_id, version = 2)]
pub struct OrderCreated { pub order_id: String }

#[payload]
pub struct Item { pub product_id: String, pub quantity: u32 }
";

const BUILD: &str = "fn main() { mmate::build::contracts().write_to(\"schemas\").run() }\n";

/// Under the workspace's target folder, so that dependencies are compiled once for all runs.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn write(folder: &Path, files: &[(&str, String)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            fs::write(path, text).expect("written");
        }
    }
}

fn manifest(name: &str, rest: &str) -> String {
    let mmate =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("mmate");
    let lean = format!("{{ path = {mmate:?}, default-features = false, features = [\"macros\"] }}");
    let rest = rest.replace("LEAN", &lean);
    format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{rest}\n")
}

/// Builds and gives what cargo said.
fn cargo_check(folder: &Path) -> (bool, String) {
    let lock =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("Cargo.lock");
    let own = folder.join("Cargo.lock");
    if !own.exists() {
        fs::copy(lock, own).expect("the same versions as the workspace");
    }
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", scratch("build-schemas-target"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn module_project(folder: &Path, messages: &str) {
    let files = [
        (
            "Cargo.toml",
            manifest(
                "by-module",
                "[dependencies]\nmmate = LEAN\n[build-dependencies]\nmmate = LEAN\n[workspace]",
            ),
        ),
        ("src/contracts.rs", messages.to_owned()),
        ("src/lib.rs", "pub mod contracts;\n".to_owned()),
        ("build.rs", format!("#[path = \"src/contracts.rs\"]\nmod contracts;\n{BUILD}")),
    ];
    write(folder, &files);
}

fn schemas(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder.join("schemas"))
        .expect("a folder of schemas")
        .flatten()
        .map(|entry| {
            (
                entry.file_name().display().to_string(),
                fs::read_to_string(entry.path()).expect("text"),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_module_and_a_crate_of_contracts_give_the_same_bytes() {
    let by_module = scratch("by-module");
    module_project(&by_module, MESSAGES);
    let (built, said) = cargo_check(&by_module);
    assert!(built && !said.contains("warning"), "{said}");

    let by_crate = scratch("by-crate");
    let service = "[dependencies]\ncontracts = { path = \"contracts\" }\n[build-dependencies]\nmmate = LEAN\n\
                   contracts = { path = \"contracts\" }\n[workspace]";
    let files = [
        ("Cargo.toml", manifest("by-crate", service)),
        ("contracts/Cargo.toml", manifest("contracts", "[dependencies]\nmmate = LEAN")),
        ("contracts/src/lib.rs", MESSAGES.to_owned()),
        ("src/lib.rs", "pub use contracts::CreateOrder;\n".to_owned()),
        ("build.rs", format!("use contracts as _;\n{BUILD}")),
    ];
    write(&by_crate, &files);
    let (built, said) = cargo_check(&by_crate);
    assert!(built && !said.contains("warning"), "{said}");

    let written = schemas(&by_module);
    assert_eq!(written, schemas(&by_crate));
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["CreateOrder.v1.json", "OrderCreated.v2.json"]);
    assert!(written[0].1.contains("\"description\": \"Asks for an order.\""), "{}", written[0].1);
}

#[test]
fn a_build_script_that_links_no_message_fails_with_the_way_out() {
    let folder = scratch("without-messages");
    let files = [
        (
            "Cargo.toml",
            manifest("without-messages", "[build-dependencies]\nmmate = LEAN\n[workspace]"),
        ),
        ("src/lib.rs", String::new()),
        ("build.rs", BUILD.to_owned()),
    ];
    write(&folder, &files);
    let (built, said) = cargo_check(&folder);
    assert!(!built && said.contains("no message is linked into this build script"), "{said}");
}
