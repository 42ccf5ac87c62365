//! The example programs as a person runs them: their command line, and the same binary in memory and on RabbitMQ.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
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

    fn signal(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Asks it to stop as an orchestrator does, and gives whether it ended well.
    fn terminate(mut self) -> bool {
        self.signal();
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
    assert!(ok && said.contains("265 lines on memory"), "{error}\n{said}");
    assert!(said.ends_with("Everything adds up.\n") && error.is_empty(), "{error}\n{said}");
    let (ok, routes, _) = output("ecommerce", &["routes"]);
    assert!(ok && routes.contains("17 handlers on 11 queues"), "{routes}");
}

#[test]
fn the_shop_serves_on_if_it_is_asked_to() {
    let mut command = program("ecommerce");
    command.arg("--serve");
    let service = Service::start(command);
    let url = service.wait_for("Serving at http://");
    let address = address_in(&url);
    let example = service.wait_for("curl ");
    let order = example.split('\'').find(|part| part.starts_with('{')).expect("an order");
    let created = request(address, "POST /api/orders", order);
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    assert!(created.contains("location: /api/orders/a1\r\n"), "{created}");
    let again = request(address, "POST /api/orders", order);
    assert!(again.starts_with("HTTP/1.1 422") && again.contains("ORDER_EXISTS"), "{again}");
    let ready = request(address, "GET /health/ready", "");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(service.terminate());
}

/// The first lets a request go on that is in flight, as long as `shutdown.drain` allows; the second does not.
#[test]
fn a_second_signal_does_not_wait_for_requests() {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    let mut command = program("ecommerce");
    command.arg("--serve");
    let service = Service::start(command);
    let url = service.wait_for("Serving at http://");
    let address = address_in(&url);
    let mut unfinished = TcpStream::connect(address).expect("it is served");
    unfinished.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let head = "POST /api/orders HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\n\
                content-type: application/json\r\ncontent-length: 2\r\n\r\n";
    unfinished.write_all(head.as_bytes()).expect("sent");
    let mut asked = [0; 12];
    unfinished.read_exact(&mut asked).expect("the route waits for the body");
    assert_eq!(&asked, b"HTTP/1.1 100");
    let began = std::time::Instant::now();
    service.signal();
    while TcpStream::connect(address).is_ok() {
        assert!(began.elapsed() < DEADLINE, "it stops to listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(service.terminate());
    assert!(began.elapsed() < Duration::from_secs(15), "less than `shutdown.drain`");
}

fn address_in(url: &str) -> &str {
    let address = url.split(['/', ';']).find(|part| part.contains("127.0.0.1:"));
    address.expect("an address")
}

/// What comes back, as it is written.
fn request(address: &str, what: &str, body: &str) -> String {
    use std::io::{Read, Write};

    let mut stream = std::net::TcpStream::connect(address).expect("it is served");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let length = body.len();
    let head = format!("{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close");
    let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {length}");
    write!(stream, "{head}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer to its end");
    answer
}

/// Shops take each other's orders, so one at a time is on the broker.
fn the_only_shop() -> MutexGuard<'static, ()> {
    static SHOP: Mutex<()> = Mutex::new(());
    SHOP.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_shop_does_the_same_on_rabbitmq_whatever_an_earlier_run_left_there() {
    let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
    let _shop = the_only_shop();
    for _ in 0..2 {
        let mut command = program("ecommerce");
        let Output { status, stdout, stderr } =
            command.env("MMATE_URL", &url).output().expect("it runs");
        let (said, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{error}\n{said}");
        assert!(said.contains("265 lines on rabbitmq"), "{error}\n{said}");
    }
}

/// Every second one of its processes is killed. `store` is a database, or a file that the program makes.
fn the_shop_in_chaos(store: Option<&str>, name: &str) {
    let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
    let _shop = the_only_shop();
    let mut command = program("ecommerce");
    command.arg("--chaos").env("MMATE_URL", &url).env("MMATE_SHOP__ORDERS", "64");
    match store {
        Some(store) => command.env("MMATE_WORKFLOWS_STORE", store),
        None => command.env_remove("MMATE_WORKFLOWS_STORE"),
    };
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let (said, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && error.is_empty(), "{error}\n{said}");
    assert!(said.starts_with(&format!("64 orders on rabbitmq with {name}")), "{said}");
    assert!(said.ends_with("Everything adds up.\n"), "{said}");
    assert!(said.matches("is killed").count() >= 3, "{said}");
    // As many as are good, whatever was killed.
    let completed = said.lines().find(|line| line.starts_with("completed")).expect("some are");
    assert!(completed.ends_with(" 32"), "{said}");
}

#[test]
fn the_shop_balances_with_sqlite_although_its_processes_are_killed() {
    the_shop_in_chaos(None, "sqlite");
}

#[tokio::test]
async fn the_shop_balances_with_postgres_although_its_processes_are_killed() {
    mmate_tests::postgres::with_empty_database(|url| async move {
        let run = tokio::task::spawn_blocking(move || the_shop_in_chaos(Some(&url), "postgres"));
        run.await.expect("it balances");
    })
    .await;
}

#[test]
fn chaos_without_a_broker_outside_says_what_to_write() {
    let (ok, _, error) = output("ecommerce", &["--chaos"]);
    assert!(!ok && error.contains("MMATE_URL=amqp://localhost"), "{error}");
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
    let address =
        Address { exchange: "mmate.commands".into(), routing_key: "cmd.orders.CreateOrder".into() };
    transport
        .publish(Outgoing::new(address, Properties::default(), body))
        .await
        .expect("the command is taken");
    let line = service.wait_for("confirmed");
    assert!(line.contains("send_confirmation: order-") && line.contains("flow req-7"), "{line}");
    assert!(service.terminate());
}

/// The dead-letter tools on RabbitMQ: a service of its own name, so that its queue is its own.
struct DeadLetterTools {
    url: String,
    service: String,
    queue: String,
}

impl DeadLetterTools {
    fn new() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let service = format!("dead-{:x}", since.expect("after 1970").as_nanos());
        let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
        let queue = format!("evt.order.OrderCreated.{service}");
        let tools = Self { url, service, queue };
        assert!(tools.output(&["check"]).0, "declares the queues");
        tools
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("hello");
        command.env("MMATE_URL", &self.url).env("MMATE_SERVICE_NAME", &self.service);
        command.args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> (bool, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (status.success(), text(stdout), text(stderr))
    }

    fn parked(&self) -> String {
        format!("dlq.{}", self.queue)
    }

    /// Parks a message as the service would.
    async fn park(&self, transport: &dyn mmate::transport::Transport, id: &str) {
        use mmate::contract::address::Address;
        use mmate::contract::headers::names;
        use mmate::transport::{Outgoing, Properties};

        let mut properties = Properties::default();
        properties.message_id = Some(id.into());
        properties.headers.set(names::DEATH_QUEUE, &self.queue);
        properties.headers.set(names::DEATH_REASON, "panic");
        properties.headers.set(names::DEATH_ERROR, "no ink");
        properties.headers.set(names::DEATH_ATTEMPTS, 3);
        properties.headers.set("authorization", "hunter2");
        let address = Address::queue(self.parked());
        let message = Outgoing::new(address, properties, format!("{{\"body\":\"{id}\"}}"));
        transport.publish(message).await.expect("parked");
    }
}

async fn test_broker() -> mmate::transport::amqp::AmqpTransport {
    use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
    let url = std::env::var("MMATE_TEST_AMQP_URL").expect(NO_BROKER);
    AmqpTransport::connect(AmqpConfig::new(url)).await.expect("the broker of the tests")
}

#[tokio::test]
async fn dead_letters_are_looked_after_on_the_command_line() {
    let (tools, transport) = (DeadLetterTools::new(), test_broker().await);
    for id in ["one", "two", "three"] {
        tools.park(&transport, id).await;
    }
    let (queue, parked) = (tools.queue.as_str(), tools.parked());
    let (ok, queues, _) = tools.output(&["dlq", "list"]);
    let row = queues.lines().find(|line| line.starts_with(&parked)).expect("a row of its own");
    assert!(ok && row.split_whitespace().eq([parked.as_str(), "3", queue]), "{queues}");
    let (ok, list, _) = tools.output(&["dlq", "list", queue]);
    for expected in ["three", "panic", "no ink", queue, "3 dead letters fit, 3 of 3 were looked at"]
    {
        assert!(ok && list.contains(expected), "{expected} is missing:\n{list}");
    }
    let (_, lines, _) = tools.output(&["dlq", "list", &parked, "--json", "--count", "2"]);
    let letters: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (letters.len(), &letters[0]["id"], &letters[1]["attempts"]),
        (2, &"one".into(), &3.into())
    );
    let (_, shown, _) = tools.output(&["dlq", "show", queue, "two"]);
    assert!(shown.contains("error: no ink") && shown.contains("authorization: ***"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("\"body\""), "{shown}");
    let (_, shown, _) = tools.output(&["dlq", "show", queue, "two", "--body"]);
    assert!(shown.ends_with("body:\n{\"body\":\"two\"}\n"), "{shown}");
    let (ok, _, error) = tools.output(&["dlq", "replay", queue]);
    assert!(!ok && error.contains("--all"), "{error}");
    let (ok, _, error) = tools.output(&["dlq", "list", "evt.other"]);
    assert!(!ok && error.contains("no queue `evt.other`") && error.contains(queue), "{error}");
    let (ok, said, _) = tools.output(&["dlq", "replay", queue, "--id", "two"]);
    assert!(ok && said.starts_with("1 replayed; 3 of 3"), "{said}");
    let (ok, said, _) = tools.output(&["dlq", "purge", queue, "--id", "one", "--yes", "--json"]);
    assert!(ok && said.contains("\"purged\":1"), "{said}");
    let (_, left, _) = tools.output(&["dlq", "list", queue, "--json"]);
    assert!(left.lines().count() == 1 && left.contains("\"three\""), "{left}");
    let (ok, _, error) = output("hello", &["dlq", "list"]);
    assert!(!ok && error.contains("lives in the running process only"), "{error}");
}

/// The ids in a queue, each as often as it is there.
async fn ids_in(transport: &dyn mmate::transport::Transport, queue: &str) -> Vec<String> {
    use mmate::transport::{Intake, SubscribeOptions};
    let subscribed = transport.subscribe(SubscribeOptions::new(queue, 1_000)).await;
    let mut subscription = subscribed.expect("the queue is there");
    let mut ids = Vec::new();
    while let Ok(Intake::Delivery(delivery)) =
        tokio::time::timeout(Duration::from_secs(2), subscription.next()).await
    {
        // Other tests announce orders too.
        let id = delivery.properties.message_id.map(String::from);
        ids.extend(id.filter(|id| id.starts_with("dead-")));
    }
    ids.sort();
    ids
}

#[tokio::test]
async fn a_replay_that_is_killed_loses_and_doubles_nothing() {
    use mmate::transport::Transport;

    let (tools, transport) = (DeadLetterTools::new(), test_broker().await);
    let ids: Vec<String> = (100..180).map(|number| format!("dead-{number}")).collect();
    for id in &ids {
        tools.park(&transport, id).await;
    }
    let parked = tools.parked();
    let ready = |queue: &str| {
        let (transport, queue) = (&transport, queue.to_owned());
        async move { transport.queue_stats(&queue).await.expect("asked").map_or(0, |it| it.ready) }
    };
    for arrived in [15, 40] {
        let mut replay = tools.command(&["dlq", "replay", &tools.queue, "--all", "--rate", "30"]);
        let mut child = replay.stdout(Stdio::null()).spawn().expect("it starts");
        let began = std::time::Instant::now();
        while ready(&tools.queue).await < arrived {
            assert!(began.elapsed() < DEADLINE, "the replay does not get anywhere");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // SIGKILL: nothing of the process runs any more.
        child.kill().expect("killed");
        assert!(!child.wait().expect("it ends").success(), "it was killed in the middle");
        while ready(&tools.queue).await + ready(&parked).await < ids.len() as u64 {
            assert!(began.elapsed() < DEADLINE, "what it held does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(ready(&parked).await > 0, "there is something left for the next run");
    }
    let (ok, said, error) =
        tools.output(&["dlq", "replay", &tools.queue, "--all", "--rate", "1000"]);
    assert!(ok, "{said}{error}");
    assert_eq!(ids_in(&transport, &tools.queue).await, ids, "each of them once");
    assert_eq!(ids_in(&transport, &parked).await, [""; 0]);
}
