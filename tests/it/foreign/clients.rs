//! Foreign clients ask a Mmate service.

use mmate::App;
use mmate::prelude::*;
use mmate::runtime::{AppBuilder, Running};
use mmate_tests::{rabbitmq, unique};
use serde_json::{Value, json};

use super::Language;

const PLACES: [&str; 3] = ["payload", "envelope", "property"];
const STYLES: [&str; 2] = ["queue", "direct"];
const SECONDS_TO_REPLY: &str = "20";

/// What a foreign client asks.
struct Request<'a> {
    exchange: &'a str,
    key: &'a str,
    name: &'a str,
    payload: Value,
    place: &'a str,
    style: &'a str,
    /// The correlation id of the envelope, and that of the AMQP property; empty if there is none.
    correlation: [&'a str; 2],
}

impl Request<'_> {
    /// The reply as the foreign client saw it: its properties, and the body as an envelope.
    async fn asked_by(self, language: Language) -> Value {
        let Self { exchange, key, name, payload, place, style, correlation } = self;
        let (payload, correlation) = (payload.to_string(), correlation.join(","));
        let arguments =
            [exchange, key, name, &payload, place, style, &correlation, SECONDS_TO_REPLY];
        let mut asker = language.start("asker", &arguments);
        let what = format!("the reply that {language:?} awaits, address in {place}, {style}");
        // Beside the service, which needs this thread.
        let waiting = tokio::task::spawn_blocking(move || {
            asker.wait_for(&what, |line| line.starts_with('{')).1
        });
        let line = waiting.await.expect("a reply");
        let mut reply: Value = serde_json::from_str(&line).expect("a line of JSON");
        let body = reply["body"].as_str().expect("text").to_owned();
        reply["body"] = serde_json::from_str(&body).expect("an envelope");
        reply
    }
}

/// Commands are addressed to a service by its name, so each test has its own.
#[message(command, reply = SeatBooked)]
struct BookSeat {
    guest: String,
    price: Decimal,
}

#[message(query, reply = SeatBooked)]
struct FindSeat {
    guest: String,
}

#[message(reply)]
struct SeatBooked {
    guest: String,
    ticket: u64,
}

#[handler]
async fn book_seat(command: BookSeat) -> Result<SeatBooked> {
    if command.price > "100".parse()? {
        return Err(Reject::new("LIMIT", "more than this card may pay").into());
    }
    Ok(SeatBooked { guest: command.guest.clone(), ticket: 9_007_199_254_740_993 })
}

#[handler]
async fn find_seat(query: FindSeat) -> Result<SeatBooked> {
    Ok(SeatBooked { guest: query.guest.clone(), ticket: 7 })
}

/// A Mmate service of the handlers above.
struct Service {
    name: String,
    running: Running,
}

impl Service {
    async fn start() -> Self {
        Self::start_with(|app| app.handler::<book_seat>()).await
    }

    async fn start_with(handlers: impl FnOnce(AppBuilder) -> AppBuilder) -> Self {
        let name = unique("foreign");
        let app = App::builder().name(&name).transport(rabbitmq().await);
        Self { running: handlers(app).start().await.expect("boots"), name }
    }

    fn book<'a>(&self, key: &'a mut String, price: &str, correlation: [&'a str; 2]) -> Request<'a> {
        *key = format!("cmd.{}.BookSeat", self.name);
        Request {
            exchange: "mmate.commands",
            key,
            name: "BookSeat",
            payload: json!({ "guest": "o-1", "price": price, "targetService": self.name }),
            place: "payload",
            style: "queue",
            correlation,
        }
    }

    async fn stop(self) {
        self.running.stop().await;
        let transport = rabbitmq().await;
        for queue in ["cmd.NAME.BookSeat", "qry.NAME.FindSeat"] {
            let queue = queue.replace("NAME", &self.name);
            transport.delete_queue(&queue).await.expect("removed");
            transport.delete_queue(&format!("dlq.{queue}")).await.expect("removed");
        }
    }
}

/// What every reply has, whatever it says: the envelope has the flow's id, and the property what the client
/// wrote there, which is all that a foreign client looks at.
fn assert_reply(reply: &Value, name: &str, [flow, own]: [&str; 2]) {
    let body = &reply["body"];
    assert_eq!((&body["type"], &reply["type"]), (&json!(name), &json!(name)), "{reply}");
    assert_eq!(body["correlationId"], flow, "{reply}");
    assert_eq!(reply["correlation_id"], own, "{reply}");
    assert_eq!(reply["content_type"], "application/json", "{reply}");
}

async fn is_answered_at_every_address(language: Language) {
    let service = Service::start().await;
    for place in PLACES {
        for style in STYLES {
            let (flow, own, mut key) = (unique("flow"), unique("own"), String::new());
            let request = service.book(&mut key, "19.99", [&flow, &own]);
            let reply = Request { place, style, ..request }.asked_by(language).await;
            assert_reply(&reply, "SeatBooked", [&flow, &own]);
            let payload =
                json!({ "guest": "o-1", "ticket": 9_007_199_254_740_993_u64, "success": true });
            assert_eq!(reply["body"]["payload"], payload);
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_command_from_python_is_answered_wherever_the_reply_address_is_written() {
    is_answered_at_every_address(Language::Python).await;
}

#[tokio::test]
async fn a_command_from_node_is_answered_wherever_the_reply_address_is_written() {
    is_answered_at_every_address(Language::Node).await;
}

#[tokio::test]
async fn a_query_from_either_is_answered() {
    // The only one: a query goes to all services that handle it, and while the quorum queue of one is being
    // deleted, RabbitMQ 3.10 ends the connection of whoever publishes to it (541, internal error).
    let service = Service::start_with(|app| app.handler::<find_seat>()).await;
    for language in Language::ALL {
        let (flow, own) = (unique("flow"), unique("own"));
        let request = Request {
            exchange: "mmate.queries",
            key: "qry.FindSeat",
            name: "FindSeat",
            payload: json!({ "guest": "o-2" }),
            place: "property",
            style: "direct",
            correlation: [&flow, &own],
        };
        let reply = request.asked_by(language).await;
        assert_reply(&reply, "SeatBooked", [&flow, &own]);
        let payload = json!({ "guest": "o-2", "ticket": 7, "success": true });
        assert_eq!(reply["body"]["payload"], payload);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_either_with_its_code_and_text() {
    let service = Service::start().await;
    for (language, style) in Language::ALL.into_iter().zip(STYLES) {
        let (flow, own, mut key) = (unique("flow"), unique("own"), String::new());
        let request = service.book(&mut key, "100.01", [&flow, &own]);
        let reply = Request { style, ..request }.asked_by(language).await;
        assert_reply(&reply, "ErrorReply", [&flow, &own]);
        let text = "more than this card may pay";
        let payload =
            json!({ "success": false, "errorCode": "LIMIT", "errorMessage": text, "error": text });
        assert_eq!(reply["body"]["payload"], payload);
    }
    service.stop().await;
}

/// As the Go sibling, which writes no AMQP properties.
#[tokio::test]
async fn a_client_without_a_correlation_property_gets_the_id_of_its_envelope() {
    let service = Service::start().await;
    for (language, style) in Language::ALL.into_iter().zip(STYLES) {
        let (flow, mut key) = (unique("flow"), String::new());
        let request = service.book(&mut key, "19.99", [&flow, ""]);
        let reply = Request { style, ..request }.asked_by(language).await;
        assert_reply(&reply, "SeatBooked", [&flow, &flow]);
    }
    service.stop().await;
}
