//! The example programs as a person runs them: their command line, and the same binary in memory and on RabbitMQ.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

const NO_BROKER: &str =
    "MMATE_TEST_AMQP_URL names a RabbitMQ for tests; `cargo xtask test` starts one and sets it";

/// `cargo test` builds an example that has tests of its own only as a test; what lies in the folder
/// may be the program of yesterday. `cargo xtask test` has built it before.
static BUILT: LazyLock<bool> = LazyLock::new(|| {
    if std::env::var_os("MMATE_TEST_EXAMPLES_BUILT").is_some() {
        return true;
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--examples"]);
    // What cargo says about this package would make build scripts run anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    build.status().is_ok_and(|status| status.success())
});

fn program(name: &str) -> Command {
    assert!(*BUILT, "the examples do not compile");
    let test = std::env::current_exe().expect("the test has a path");
    let built: PathBuf =
        test.ancestors().nth(2).expect("the profile's folder").join("examples").join(name);
    let mut command = Command::new(built);
    command.env_remove("MMATE_URL").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn output(name: &str, arguments: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } =
        program(name).args(arguments).output().expect("it runs");
    (
        status.success(),
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

/// A program that runs until it is asked to stop, with its output line by line.
struct Service {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Service {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (sender, lines) = mpsc::channel();
        for stream in [
            Box::new(child.stdout.take().expect("piped")) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().expect("piped")),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines }
    }

    fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("`{text}` did not appear in:\n{}", seen.join("\n")),
            }
        }
    }

    /// Asks it to stop as an orchestrator does, and gives whether it ended well.
    fn terminate(mut self) -> bool {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
        self.wait_for("stopped in");
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After `terminate` there is nothing left to kill, and the error says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_command_line_lists_what_the_service_consists_of() {
    let (ok, routes, _) = output("hello", &["routes"]);
    assert!(ok);
    for expected in [
        "cmd.orders.create",
        "CreateOrder (command)",
        "create_order",
        "timeout 30 s",
        "5 attempts",
        "hello.rs:",
    ] {
        assert!(routes.contains(expected), "{expected} is missing:\n{routes}");
    }
    let (ok, topology, _) = output("hello", &["topology"]);
    assert!(ok && topology.contains("mmate.events --evt.#.OrderCreated-->"), "{topology}");
    let (ok, config, _) = output("hello", &["config"]);
    assert!(ok && config.contains("memory://") && config.contains("crate name"), "{config}");
    let (ok, check, _) = output("hello", &["check"]);
    assert!(ok && check.contains("everything is in order: 2 handlers"), "{check}");
    let (ok, _, error) = output("hello", &["rotues"]);
    assert!(!ok && error.contains("routes"), "{error}");
}

#[test]
fn schemas_are_written_and_are_the_same_bytes_the_second_time() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hello-schemas");
    let _ = std::fs::remove_dir_all(&folder);
    let out = folder.display().to_string();
    let (ok, said, _) = output("hello", &["schemas", "--out", &out]);
    assert!(ok && said.contains("3 written, 0 unchanged"), "{said}");
    let (ok, said, _) = output("hello", &["schemas", "--out", &out]);
    assert!(ok && said.contains("0 written, 3 unchanged"), "{said}");
    let text = std::fs::read_to_string(folder.join("CreateOrder.v1.json")).expect("a schema");
    assert!(text.contains("\"minItems\": 1"), "{text}");
}

#[test]
fn a_broker_that_is_not_there_is_an_error_that_names_it_and_hides_the_password() {
    let mut command = program("hello");
    command.env("MMATE_URL", "amqp://guest:hunter2@127.0.0.1:1");
    let Output { status, stderr, .. } = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&stderr);
    assert!(
        !status.success() && text.contains("127.0.0.1:1") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn it_runs_in_memory_until_it_is_asked_to_stop() {
    let service = Service::start(program("hello"));
    assert!(service.wait_for("consuming").contains("transport=\"memory\""));
    assert!(service.terminate());
}

#[test]
fn the_shop_brings_every_order_to_its_end() {
    let (ok, said, error) = output("ecommerce", &[]);
    assert!(ok && said.contains("239 lines on memory"), "{error}\n{said}");
    assert!(said.ends_with("Everything adds up.\n") && error.is_empty(), "{error}\n{said}");
    let (ok, routes, _) = output("ecommerce", &["routes"]);
    assert!(ok && routes.contains("17 handlers on 10 queues"), "{routes}");
}

#[test]
fn the_shop_serves_on_if_it_is_asked_to() {
    let mut command = program("ecommerce");
    command.arg("--serve");
    let service = Service::start(command);
    service.wait_for("Serving");
    assert!(service.terminate());
}

#[test]
fn the_shop_does_the_same_on_rabbitmq_whatever_an_earlier_run_left_there() {
    let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
    for _ in 0..2 {
        let mut command = program("ecommerce");
        let Output { status, stdout, stderr } =
            command.env("MMATE_URL", &url).output().expect("it runs");
        let (said, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{error}\n{said}");
        assert!(said.contains("239 lines on rabbitmq"), "{error}\n{said}");
    }
}

#[tokio::test]
async fn the_same_program_runs_on_rabbitmq() {
    use mmate::contract::address::Address;
    use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
    use mmate::transport::{Outgoing, Properties, Transport};

    let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
    let mut command = program("hello");
    command.env("MMATE_URL", &url);
    let service = Service::start(command);
    assert!(service.wait_for("consuming").contains("transport=\"rabbitmq\""));
    let transport =
        AmqpTransport::connect(AmqpConfig::new(url)).await.expect("the broker of the tests");
    let body = r#"{"id":"hello-1","type":"CreateOrder","timestamp":"2026-01-01T00:00:00Z","correlationId":"req-7",
        "payload":{"customerId":"ada","items":[{"productId":"tea","quantity":3}]}}"#;
    let address = Address {
        exchange: "mmate.commands".into(),
        routing_key: "cmd.orders.CreateOrder".to_owned(),
    };
    transport
        .publish(Outgoing::new(address, Properties::default(), body))
        .await
        .expect("the command is taken");
    let line = service.wait_for("confirmed");
    assert!(line.contains("send_confirmation: order-") && line.contains("flow req-7"), "{line}");
    assert!(service.terminate());
}
