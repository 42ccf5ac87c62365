//! A Mmate service asks services that are not Mmate's.

use mmate::App;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate_tests::{eventually, rabbitmq, unique};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::super::program::Program;
use super::Language;

/// One foreign service at a time: all are bound to the key of the one request, and each would answer it.
static TURN: Mutex<()> = Mutex::const_new(());

#[message(command, service = "box-office", reply = SeatHeld)]
struct HoldSeat {
    guest: String,
    row: u32,
}

#[message(reply)]
#[derive(PartialEq)]
struct SeatHeld {
    guest: String,
    row: u32,
}

/// A foreign service in one of its modes, and a Mmate process that asks it.
struct Scene {
    caller: Running,
    service: Program,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    async fn set(language: Language, mode: &'static str, reply: &'static str) -> Self {
        let turn = TURN.lock().await;
        let queue = unique("box-office");
        let starting = tokio::task::spawn_blocking(move || {
            let key = "cmd.box-office.HoldSeat";
            let arguments = [&queue, "mmate.commands", key, mode, reply, "guest", "row"];
            let mut service = language.start("service", &arguments);
            service.wait_for_start("READY");
            service
        });
        let app = App::builder().name(&unique("caller")).transport(rabbitmq().await);
        let caller = app.publish_only().start().await.expect("boots");
        Self { caller, service: starting.await.expect("a foreign service"), _turn: turn }
    }

    /// With a flow's id, as it is inside a handler: the request's own id is another one.
    async fn ask(&self, timeout: &str) -> std::result::Result<SeatHeld, AskError> {
        let request = HoldSeat { guest: "Ada".to_owned(), row: 7 };
        self.caller.bridge().ask(request).correlation_id(unique("flow")).timeout(timeout).await
    }

    /// The request as the service saw it, with its body as an envelope.
    fn seen(&mut self) -> Value {
        let (_, line) = self.service.wait_for("the request", |line| line.starts_with('{'));
        let mut seen: Value = serde_json::from_str(&line).expect("a line of JSON");
        let body = seen["body"].as_str().expect("text").to_owned();
        seen["body"] = serde_json::from_str(&body).expect("an envelope");
        seen
    }

    async fn end(self) {
        assert_eq!(self.caller.bridge().pending(), 0);
        assert_eq!(self.caller.bridge().ambiguous_replies(), 0);
        self.caller.stop().await;
    }
}

fn held() -> SeatHeld {
    SeatHeld { guest: "Ada".to_owned(), row: 7 }
}

async fn is_understood(mode: &'static str) {
    for language in Language::ALL {
        let scene = Scene::set(language, mode, "SeatHeld").await;
        assert_eq!(scene.ask("30s").await.expect(mode), held(), "{language:?}");
        // As well the second time, when the reply queue is there already.
        assert_eq!(scene.ask("30s").await.expect(mode), held(), "{language:?}");
        assert_eq!(scene.caller.bridge().late_replies(), 0);
        scene.end().await;
    }
}

#[tokio::test]
async fn a_foreign_answer_is_the_reply_that_the_request_names() {
    is_understood("ok").await;
}

#[tokio::test]
async fn an_answer_with_the_least_envelope_is_understood() {
    is_understood("minimal").await;
}

/// Its only tie to the request is the envelope's correlation id, which is the flow's.
#[tokio::test]
async fn an_answer_without_amqp_properties_is_understood() {
    is_understood("envelope-only").await;
}

#[tokio::test]
async fn a_foreign_service_finds_the_reply_address_at_each_place() {
    for language in Language::ALL {
        let mut scene = Scene::set(language, "ok", "SeatHeld").await;
        scene.ask("30s").await.expect("an answer");
        let seen = scene.seen();
        let address = seen["reply_to"].as_str().expect("a property");
        assert_eq!(seen["body"]["replyTo"], address, "{seen}");
        assert_eq!(seen["body"]["payload"]["replyTo"], address, "{seen}");
        assert_eq!(seen["correlation_id"], seen["body"]["id"], "the request's own: {seen}");
        assert_ne!(seen["body"]["correlationId"], seen["body"]["id"], "the flow's: {seen}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_foreign_refusal_is_an_error_with_the_code_and_text_of_the_peer() {
    for (language, reply) in Language::ALL.into_iter().zip(["ErrorReply", "SeatHeld"]) {
        let scene = Scene::set(language, "error", reply).await;
        let refused = scene.ask("30s").await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (AskErrorKind::Refused, "DECLINED"));
        let refusal = refused.refusal().expect("the peer's word");
        assert_eq!(refusal.message, "the card was declined");
        scene.end().await;
    }
}

async fn is_a_bad_reply(mode: &'static str, text: &str) {
    for language in Language::ALL {
        let scene = Scene::set(language, mode, "SeatHeld").await;
        let error = scene.ask("30s").await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (AskErrorKind::BadReply, "BAD_REPLY"), "{error}");
        assert!(error.to_string().contains(text), "{error}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_foreign_answer_of_another_type_is_an_error_that_names_both() {
    is_a_bad_reply("wrong-type", "the reply is a `SomethingElse`, not a `SeatHeld`").await;
}

#[tokio::test]
async fn a_foreign_answer_that_is_no_json_is_an_error_at_once() {
    is_a_bad_reply("not-json", "the reply cannot be read").await;
}

#[tokio::test]
async fn the_second_answer_to_one_request_is_counted_and_dropped() {
    for language in Language::ALL {
        let scene = Scene::set(language, "twice", "SeatHeld").await;
        let bridge = scene.caller.bridge();
        assert_eq!(scene.ask("30s").await.expect("an answer"), held());
        eventually("the second one is late", || async { bridge.late_replies() == 1 }).await;
        assert_eq!(scene.ask("30s").await.expect("the second request's own"), held());
        eventually("so is the next", || async { bridge.late_replies() == 2 }).await;
        scene.end().await;
    }
}

#[tokio::test]
async fn a_foreign_service_that_is_silent_is_a_timeout() {
    for language in Language::ALL {
        let mut scene = Scene::set(language, "silent", "SeatHeld").await;
        let error = scene.ask("1s").await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (AskErrorKind::Timeout, "TIMEOUT"), "{error}");
        assert_eq!(scene.seen()["body"]["id"], error.id(), "it was delivered");
        scene.end().await;
    }
}
