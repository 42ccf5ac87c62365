//! The HTTP edge, through real sockets, on both transports: every answer is provoked.

mod stop;

use std::net::SocketAddr;
use std::sync::Arc;

use mmate::contract::address::Address;
use mmate::http::axum::http::StatusCode;
use mmate::http::axum::routing::{get, post};
use mmate::http::axum::{Json, Router};
use mmate::http::{self, IdempotencyKey, Payload, Problem};
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running, ShutdownReport};
use mmate::transport::{Properties, Queue, QueueKind, Topology, Transport};
use mmate_tests::client::{self, Answer, send};
use mmate_tests::{Backend, Probe, on_every_transport, publish_raw, take, unique};
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Asks for the half of a number, in a way that `how` chooses.
#[message(command, reply = Halved)]
struct Halve {
    #[schemars(range(min = 1))]
    number: u32,
    how: String,
}

#[message(reply)]
struct Halved {
    number: u32,
}

/// Nobody handles it.
#[message(command, reply = Halved)]
struct NotOffered {}

/// Nobody listens to it.
#[message(event, aggregate = "nothing")]
struct HeardByNobody {}

/// Heard whenever a half was refused.
#[message(event, aggregate = "half")]
struct HalfRefused {
    number: u32,
}

/// Lets handlers go on when a test says so.
type Gate = Arc<Semaphore>;

#[handler(concurrency = 16)]
async fn halve(
    message: Halve,
    probe: State<Probe>,
    gate: State<Gate>,
    publisher: Publisher,
    context: Context,
) -> Result<Result<Halved, Refusal>> {
    probe.note(context.message_id());
    match message.how.as_str() {
        "odd" => {
            publisher.publish(HalfRefused { number: message.number }).await?;
            let details = json!({"number": message.number});
            Ok(Err(Refusal::new("ODD", "the number is odd").details(details)))
        }
        "rejected" => Err(Reject::new("TOO_SMALL", "the number is too small").into()),
        "broken" => Err(DeadLetter("a secret of the inside".to_owned()).into()),
        "gate" => {
            gate.acquire().await?.forget();
            Ok(Ok(Halved { number: message.number / 2 }))
        }
        _ => Ok(Ok(Halved { number: message.number / 2 })),
    }
}

#[handler]
async fn hear_refusals(event: HalfRefused, probe: State<Probe>) {
    probe.note(format!("refused {}", event.number));
}

async fn halves(
    bridge: Bridge,
    key: IdempotencyKey,
    Payload(message): Payload<Halve>,
) -> Result<(StatusCode, Json<Halved>), Problem> {
    let timeout = if message.how == "gate" && message.number == 1 { "300ms" } else { "15s" };
    let halved = key.on(bridge.ask(message)).timeout(timeout).await?;
    Ok((StatusCode::CREATED, Json(halved)))
}

/// An edge that trusts its clients, and so sends what its peer does not understand.
async fn unchecked(bridge: Bridge, Json(message): Json<Halve>) -> Result<Json<Halved>, Problem> {
    Ok(Json(bridge.ask(message).await?))
}

async fn not_offered(bridge: Bridge) -> Result<Json<Halved>, Problem> {
    Ok(Json(bridge.ask(NotOffered {}).await?))
}

async fn unheard(publisher: Publisher) -> Result<(), Problem> {
    publisher.publish(HeardByNobody {}).await?;
    Ok(())
}

/// A service with its edge on a port of its own.
struct Service {
    name: String,
    transport: Arc<dyn Transport>,
    address: SocketAddr,
    probe: Probe,
    gate: Gate,
    stop: oneshot::Sender<()>,
    edge: JoinHandle<ShutdownReport>,
}

impl Service {
    async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |builder| builder, |edge| edge).await
    }

    async fn start_with(
        backend: Backend,
        extend: impl FnOnce(AppBuilder) -> AppBuilder,
        edge: impl FnOnce(http::Edge) -> http::Edge,
    ) -> Self {
        let (probe, gate) = (Probe::default(), Gate::new(Semaphore::new(0)));
        let (broker, name) = (backend.broker().await, unique("http"));
        let builder = broker.service(&name).await;
        let builder = builder.handler::<halve>();
        let builder = builder.provide(probe.clone()).provide(Gate::clone(&gate));
        let transport = broker.connect().await;
        let running = extend(builder).start().await.expect("the service boots");
        let listener = http::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // A test that ends early drops its end.
            let _ = stopped.await;
        };
        let routes = Self::routes(&running);
        let edge =
            tokio::spawn(edge(http::serve_until(running, listener, routes, stopped)).into_future());
        Self { name, transport, address, probe, gate, stop, edge }
    }

    fn routes(running: &Running) -> Router {
        Router::new()
            .route("/halves", post(halves))
            .route("/unchecked", post(unchecked))
            .route("/not-offered", get(not_offered))
            .route("/unheard", get(unheard))
            .merge(http::health(running))
            .with_state(running.bridge().clone())
    }

    async fn halve(&self, number: u32, how: &str) -> Answer {
        send(self.address, asks(number, how)).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.address, client::get(path)).await.expect("an answer")
    }

    async fn stop(self) -> ShutdownReport {
        self.stop.send(()).expect("the edge runs");
        self.edge.await.expect("the edge does not panic")
    }
}

fn asks(number: u32, how: &str) -> http::axum::http::Request<http::axum::body::Body> {
    client::post("/halves", json!({"number": number, "how": how}).to_string())
}

async fn an_answer_and_a_refusal_of_the_business(backend: Backend) {
    let hears = |builder: AppBuilder| builder.handler::<hear_refusals>();
    let service = Service::start_with(backend, hears, |edge| edge).await;
    let halved = service.halve(42, "well").await;
    assert_eq!((halved.status, &halved.body), (201, &json!({"number": 21})));
    let odd = service.halve(9, "odd").await;
    assert_eq!(odd.problem(), (422, "ODD"));
    assert_eq!(odd.body["detail"], "the number is odd");
    assert_eq!(odd.body["details"], json!({"number": 9}));
    // The answer said no, and the event of the same handler has left.
    assert_eq!(service.probe.wait_for(3).await.pop().as_deref(), Some("refused 9"));
    assert_eq!(service.halve(9, "rejected").await.problem(), (422, "TOO_SMALL"));
    assert!(service.stop().await.drained);
}

async fn a_failure_of_the_inside_is_a_502_without_a_word_of_it(backend: Backend) {
    let service = Service::start(backend).await;
    let broken = service.halve(2, "broken").await;
    assert_eq!(broken.problem(), (502, "REQUEST_FAILED"));
    assert!(broken.body["details"]["requestId"].is_string(), "{broken:?}");
    assert!(!format!("{broken:?}").contains("secret"), "{broken:?}");
    let body = json!({"number": 0, "how": "well"}).to_string();
    let unchecked = send(service.address, client::post("/unchecked", body)).await.unwrap();
    assert_eq!(unchecked.problem(), (502, "INVALID_REQUEST"));
    service.stop().await;
}

async fn nobody_listens(backend: Backend) {
    let service = Service::start(backend).await;
    for path in ["/not-offered", "/unheard"] {
        let answer = service.get(path).await;
        assert_eq!(answer.problem(), (503, "NO_LISTENER"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    service.stop().await;
}

/// Another program answers, and not as the contract says.
async fn an_answer_that_cannot_be_read_is_a_502(backend: Backend) {
    let service = Service::start(backend).await;
    let (transport, queue) = (Arc::clone(&service.transport), unique("peer"));
    let mut topology = Topology::default();
    topology.queue(Queue::new(&queue).kind(QueueKind::Exclusive));
    let address = Address::of(NotOffered::INFO, &service.name, None);
    topology.bind(address.exchange, &queue, address.routing_key);
    transport.declare(&topology).await.expect("declared");
    let answer = async {
        let asked = take(&transport, &queue).await;
        let reply_to = asked.properties.reply_to.clone().expect("somebody waits");
        let mut properties = Properties::default();
        properties.correlation_id = asked.properties.correlation_id.clone();
        let body = r#"{"id":"1","type":"Halved","payload":{"number":"a secret of the inside"}}"#;
        publish_raw(&transport, &reply_to, properties, body).await;
    };
    let ((), answer) = tokio::join!(answer, service.get("/not-offered"));
    assert_eq!(answer.problem(), (502, "BAD_REPLY"));
    assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    service.stop().await;
}

async fn a_request_without_an_answer_is_asked_again_with_its_key(backend: Backend) {
    let service = Service::start(backend).await;
    let with_key = |mut request: http::axum::http::Request<_>, key: &str| {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let key = unique("key");
    let late = send(service.address, with_key(asks(1, "gate"), &key)).await.unwrap();
    assert_eq!(late.problem(), (504, "TIMEOUT"));
    assert_eq!(late.body["details"]["requestId"], key.as_str());
    service.gate.add_permits(2);
    let answered = send(service.address, with_key(asks(1, "gate"), &key)).await.unwrap();
    assert_eq!(answered.status, 201);
    // The answer to the first may be what answers the second: it is the same request.
    assert_eq!(service.probe.wait_for(2).await, [key.as_str(), key.as_str()]);
    let wrong = send(service.address, with_key(asks(1, "well"), "two words")).await.unwrap();
    assert_eq!(wrong.problem(), (400, "INVALID_IDEMPOTENCY_KEY"));
    service.stop().await;
}

async fn an_overload_is_answered_at_once(backend: Backend) {
    let small = |builder: AppBuilder| {
        builder.config("bridge.max_concurrent", 1).config("bridge.waiting_max", 0)
    };
    let service = Service::start_with(backend, small, |edge| edge).await;
    let address = service.address;
    let first = tokio::spawn(async move { send(address, asks(2, "gate")).await });
    service.probe.wait_for(1).await;
    let second = service.halve(4, "well").await;
    assert_eq!(second.problem(), (503, "OVERLOADED"));
    assert_eq!(second.header("retry-after"), Some("1"));
    service.gate.add_permits(1);
    assert_eq!(first.await.unwrap().expect("an answer").status, 201);
    assert_eq!(service.halve(4, "well").await.status, 201);
    service.stop().await;
}

async fn a_message_that_would_be_too_large_is_a_413(backend: Backend) {
    let small = |builder: AppBuilder| builder.config("limits.message_bytes_max", 1_000);
    let service = Service::start_with(backend, small, |edge| edge).await;
    let large = service.halve(2, &"well".repeat(300)).await;
    assert_eq!(large.problem(), (413, "TOO_LARGE"));
    assert!(service.probe.notes().is_empty());
    service.stop().await;
}

/// The error names the place of the mistake and never the value; the request does not leave the edge.
async fn a_body_that_breaks_the_contract_is_turned_away(backend: Backend) {
    let service = Service::start(backend).await;
    for (body, reason, place) in [
        ("{\"secret\"", "bad_payload", "line 1 column 9"),
        ("{\"number\":\"secret\",\"how\":\"well\"}", "bad_payload", "line 1 column 18"),
        ("{\"number\":4}", "bad_payload", "missing field `how`"),
        ("{\"number\":0,\"how\":\"secret\"}", "schema_violation", "`/number`"),
    ] {
        let answer = send(service.address, client::post("/halves", body)).await.unwrap();
        assert_eq!(answer.problem(), (400, "INVALID_REQUEST"));
        assert_eq!(answer.body["details"]["reason"], reason, "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(place), "{answer:?}");
        assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    }
    let latin = send(service.address, client::post("/halves", b"{\"a\":\"\xe9\"}".to_vec())).await;
    assert_eq!(latin.unwrap().body["details"]["reason"], "not_utf8");
    let large = client::post("/halves", " ".repeat(3 << 20));
    let large = send(service.address, large).await.unwrap();
    assert_eq!(large.problem(), (413, "INVALID_REQUEST"));
    let mut form = asks(2, "well");
    form.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let form = send(service.address, form).await.unwrap();
    assert_eq!(form.problem(), (415, "INVALID_REQUEST"));
    assert!(service.probe.notes().is_empty());
    service.stop().await;
}

on_every_transport! {
    an_answer_and_a_refusal_of_the_business
    a_failure_of_the_inside_is_a_502_without_a_word_of_it
    nobody_listens
    a_request_without_an_answer_is_asked_again_with_its_key
    an_answer_that_cannot_be_read_is_a_502
    an_overload_is_answered_at_once
    a_message_that_would_be_too_large_is_a_413
    a_body_that_breaks_the_contract_is_turned_away
}
