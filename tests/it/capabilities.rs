//! What a transport cannot do is refused at boot, with the way out; the docs show the table of the code.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mmate::App;
use mmate::prelude::*;
use mmate::transport::amqp::AmqpTransport;
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{
    Capabilities, Capability, Outgoing, PublishError, QueueStats, SubscribeOptions, Subscription,
    Topology, Transport, TransportError,
};

#[message(command)]
struct Rank {}

#[message(event)]
struct Ranked {}

#[handler(max_priority = 5)]
async fn rank(_message: Rank) {}

#[handler(broadcast)]
async fn ranked(_message: Ranked) {}

#[handler(topic = "evt.*.Ranked", group = "all")]
async fn ranked_anywhere(_message: Ranked) {}

/// A broker that can do little.
#[derive(Debug)]
struct Plain(Capabilities);

#[async_trait]
impl Transport for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn capabilities(&self) -> Capabilities {
        self.0
    }

    async fn declare(&self, _: &Topology) -> std::result::Result<(), TransportError> {
        Ok(())
    }

    async fn publish(&self, _: Outgoing) -> std::result::Result<(), PublishError> {
        Ok(())
    }

    async fn subscribe(
        &self,
        _: SubscribeOptions,
    ) -> std::result::Result<Box<dyn Subscription>, TransportError> {
        std::future::pending().await
    }

    async fn queue_stats(
        &self,
        _: &str,
    ) -> std::result::Result<Option<QueueStats>, TransportError> {
        Ok(None)
    }

    async fn delete_queue(&self, _: &str) -> std::result::Result<(), TransportError> {
        Ok(())
    }

    async fn close(&self) {}
}

fn refusal(capabilities: Capabilities) -> Option<String> {
    let transport: Arc<dyn Transport> = Arc::new(Plain(capabilities));
    let app = App::builder().name("ranks").transport(transport);
    let app = app.handler::<rank>().handler::<ranked>().handler::<ranked_anywhere>();
    app.build().err().map(|error| error.to_string())
}

#[test]
fn what_a_transport_cannot_do_is_refused_with_the_way_out() {
    let error = refusal(Capabilities::new(&[Capability::Confirms])).expect("refused");
    assert!(error.contains("3 mistakes"), "{error}");
    for (handler, key, capability) in [
        ("rank", "max_priority", Capability::Priority),
        ("ranked", "broadcast", Capability::Broadcast),
        ("ranked_anywhere", "topic", Capability::TopicPatterns),
    ] {
        let text =
            format!("handler `{handler}` asks for `{key}`, and this transport has no {capability}");
        assert!(error.contains(&text), "{error}");
        assert!(error.contains(&format!("help: {}", capability.fallback())), "{error}");
    }
    assert_eq!(error.matches("tests/it/capabilities.rs:").count(), 3, "{error}");
    let enough = [Capability::Priority, Capability::Broadcast, Capability::TopicPatterns];
    assert_eq!(refusal(Capabilities::new(Box::leak(Box::new(enough)))), None);
}

#[test]
fn the_docs_show_the_table_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/transports.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once("<!-- table -->\n").expect("a place for the table");
    let (shown, after) = rest.split_once("<!-- end -->").expect("the end of the table");
    let table = table();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}<!-- table -->\n{table}<!-- end -->{after}");
        std::fs::write(&path, page).expect("written");
    } else {
        assert_eq!(shown, table, "run it again with UPDATE_EXPECT=1");
    }
}

fn table() -> String {
    let transports = [MemoryTransport::CAPABILITIES, AmqpTransport::CAPABILITIES];
    let mut table = "| | memory | rabbitmq | without it |\n|---|---|---|---|\n".to_owned();
    for capability in Capability::ALL {
        let word = |it: Capabilities| if it.has(capability) { "yes" } else { "no" };
        let [memory, rabbitmq] = transports.map(word);
        let fallback = capability.fallback();
        writeln!(table, "| {capability} | {memory} | {rabbitmq} | {fallback} |").expect("a text");
    }
    table
}

#[test]
fn no_capability_is_missing_from_the_table() {
    let known = |it: Capability| Capability::ALL.contains(&it);
    assert!(MemoryTransport::CAPABILITIES.iter().all(known));
    assert!(AmqpTransport::CAPABILITIES.iter().all(known));
    assert!(!MemoryTransport::CAPABILITIES.has(Capability::Durable));
}
