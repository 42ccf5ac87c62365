//! What keeps a service from starting: all of it at once, each with its place and the way out.

use std::time::{Duration, Instant};

use mmate::prelude::*;
use mmate::runtime::AppBuilder;
use mmate::transport::TransportErrorKind;
use mmate::{BootErrors, Error};

#[message(command)]
struct Ask {}

#[message(event)]
struct Told {}

#[derive(Debug)]
struct Missing;

#[derive(Debug)]
struct Cup;

#[derive(Debug)]
struct Saucer;

#[handler(queue = "cmd.boot.ask", concurrency = 2)]
async fn ask_one(_message: Ask, _missing: State<Missing>) {}

#[handler(queue = "cmd.boot.ask", concurrency = 3)]
async fn ask_two(_message: Ask) {}

#[handler]
async fn told(_message: Told) {}

/// Providers that need each other stand in a module of their own: only one test takes them.
mod circle {
    use super::{Cup, Saucer};
    use mmate::prelude::*;

    #[provider]
    async fn cup(_saucer: State<Saucer>) -> Result<Cup> {
        Ok(Cup)
    }

    #[provider]
    async fn saucer(_cup: State<Cup>) -> Result<Saucer> {
        Ok(Saucer)
    }
}

mod failing {
    use super::Cup;
    use mmate::prelude::*;

    #[provider]
    async fn cup(config: Config) -> Result<Cup> {
        config.get::<String>("boot.test.secret.path")?;
        Ok(Cup)
    }
}

fn refused(builder: AppBuilder) -> BootErrors {
    match builder.build() {
        Err(Error::Boot(errors)) => errors,
        other => panic!("expected a refusal with a list, got {other:?}"),
    }
}

fn app() -> AppBuilder {
    App::builder().name("boot-test")
}

#[test]
fn all_mistakes_are_reported_at_once_with_file_and_line() {
    let errors =
        refused(app().handler::<ask_one>().handler::<ask_two>().registered_in("it::boot::circle"));
    let text = errors.to_string();
    let all: Vec<&str> = errors.iter().collect();
    assert_eq!(all.len(), 4, "{text}");
    for expected in [
        "nothing provides `it::boot::Missing`, wanted by handler `ask_one`",
        "providers need each other: cup -> saucer -> cup",
        "2 handlers take `Ask` from queue `cmd.boot.ask`",
        "handlers of queue `cmd.boot.ask` say different things about `concurrency`",
    ] {
        let found = all.iter().find(|mistake| mistake.starts_with(expected));
        assert!(found.is_some_and(|mistake| mistake.contains("it/boot.rs:")), "{expected}\n{text}");
    }
    assert!(text.starts_with("the service does not start: 4 mistakes\n  1. "), "{text}");
}

#[test]
fn a_service_without_handlers_is_refused_unless_it_only_publishes() {
    assert!(refused(app()).to_string().contains("there is no handler"));
    assert!(app().publish_only().build().is_ok());
}

#[test]
fn wrong_configuration_is_named_with_its_key() {
    let builder =
        app().handler::<told>().config("consume.prefetchh", 3).config("consume.timeout", "soon");
    let text = refused(builder).to_string();
    assert!(
        text.contains(
            "`consume.prefetchh`: there is no such key; did you mean `consume.prefetch`?"
        ),
        "{text}"
    );
    let builder =
        app().handler::<told>().config("consume.timeout", "soon").config("queues.type", "stream");
    let text = refused(builder.config("consume.prefetch", 0)).to_string();
    assert!(text.contains("`consume.timeout`: `soon` is not a duration"), "{text}");
    assert!(text.contains("`queues.type`: write `quorum` or `classic`"), "{text}");
}

#[test]
fn a_name_that_the_broker_would_refuse_is_refused_before() {
    let long = "x".repeat(300);
    for name in ["with space", "", &long] {
        let errors = refused(App::builder().name(name).handler::<told>());
        assert!(errors.to_string().contains("`service.name`"), "{errors}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_named_with_its_reason() {
    let error = app()
        .handler::<told>()
        .registered_in("it::boot::failing")
        .start()
        .await
        .expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains(
            "provider `cup` failed: configuration `boot.test.secret.path`: it is not set"
        ),
        "{text}"
    );
    assert!(text.contains("MMATE_BOOT__TEST__SECRET__PATH"), "{text}");
}

async fn connect(url: &str) -> (Error, Duration) {
    let began = Instant::now();
    let builder = app().handler::<told>().config("url", url).config("boot.connect_timeout", "2s");
    let error = builder.start().await.expect_err("the broker cannot be used");
    (error, began.elapsed())
}

#[tokio::test]
async fn a_broker_that_cannot_be_used_is_an_error_in_seconds_without_the_password() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let (_refusing, refused) = mmate_tests::refusing_port();
    let real = mmate_tests::amqp_url();
    let host = real.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let cases = [
        (
            format!("amqp://u:hunter2@{refused}"),
            TransportErrorKind::Unreachable,
            refused.to_string(),
        ),
        (
            format!("amqp://u:hunter2@127.0.0.1:{silent_port}"),
            TransportErrorKind::Timeout,
            format!("127.0.0.1:{silent_port}"),
        ),
        (format!("amqp://guest:hunter2@{host}"), TransportErrorKind::Credentials, host.to_owned()),
        (
            real.replace("/%2f", "/no-such-vhost"),
            TransportErrorKind::VirtualHost,
            "no-such-vhost".to_owned(),
        ),
        (real.replace("amqp://", "amqps://"), TransportErrorKind::Tls, host.to_owned()),
    ];
    for (url, kind, says) in cases {
        let (error, took) = connect(&url).await;
        let (text, debug) = (error.to_string(), format!("{error:?}"));
        let Error::Transport(error) = &error else { panic!("expected a transport error: {text}") };
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(&says), "{text}");
        assert!(!text.contains("hunter2") && !debug.contains("hunter2"), "{debug}");
        assert!(took < Duration::from_secs(10), "{text}: {took:?}");
    }
}

#[tokio::test]
async fn waiting_for_the_broker_goes_on_until_it_is_there() {
    let (socket, here) = mmate_tests::refusing_port();
    let real = mmate_tests::amqp_url();
    let address = real
        .rsplit('@')
        .next()
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default()
        .to_owned();
    let url = real.replace(&address, &here.to_string());
    let name = mmate_tests::unique("wait");
    let builder =
        App::builder().name(&name).handler::<told>().config("url", url).config("boot.wait", true);
    let start = tokio::spawn(builder.start());
    let listener = socket.listen(16).expect("the port is ours");
    let forward = tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.expect("a connection");
            let address = address.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(address).await.expect("the broker");
                // The end of either side ends the connection; its error says no more.
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    let running = tokio::time::timeout(mmate_tests::DEADLINE, start)
        .await
        .expect("in time")
        .expect("no panic");
    running.expect("boots once the broker is there").stop().await;
    forward.abort();
}
