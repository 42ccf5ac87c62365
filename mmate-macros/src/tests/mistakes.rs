//! Mistakes and their texts, all of an expansion at once.

use proc_macro2::TokenStream;
use quote::quote;

use super::errors_of;
use crate::diagnostics::{listing, nearest};
use crate::expand;

fn message(args: TokenStream) -> Vec<String> {
    errors_of(expand::message(
        args,
        quote!(
            struct OrderCreated {
                order_id: String,
            }
        ),
    ))
}

fn handler(args: TokenStream) -> Vec<String> {
    errors_of(expand::handler(
        args,
        quote!(
            async fn on_created(event: OrderCreated) {}
        ),
    ))
}

fn handler_fn(item: TokenStream) -> Vec<String> {
    errors_of(expand::handler(TokenStream::new(), item))
}

#[test]
fn a_correct_use_has_no_mistakes() {
    assert_eq!(message(quote!(event, key = order_id, version = 2,)), [""; 0]);
    assert_eq!(handler(quote!(queue = "q", concurrency = LIMIT * 2, prefetch = 64)), [""; 0]);
    assert_eq!(handler(quote!(retry(attempts = 1, backoff = fixed("0ms"), jitter = 0))), [""; 0]);
    assert_eq!(
        handler_fn(quote!(
            async fn on((a, b): Pair, _: &'static str) -> Result {}
        )),
        ["a handler owns its parameters"]
    );
    assert_eq!(
        handler_fn(quote!(
            async fn on(a: Held<'static>, mut b: fn(u8) -> u8) {}
        )),
        [""; 0]
    );
}

#[test]
fn all_mistakes_are_reported_in_one_go() {
    let item = quote!(
        unsafe fn on<T>(self, other: impl Send) -> impl Send {}
    );
    let errors = errors_of(expand::handler(quote!(queu = "q", prefetch = 0, timeout, "x"), item));
    let starts = [
        "`#[handler]` has no key `queu`",
        "`prefetch` is from 1 to 65535",
        "`timeout` needs a value",
        "`#[handler]` wants keys",
        "handler `on` must be async",
        "handler `on` cannot be `unsafe`",
        "handler `on` cannot be generic",
        "handlers are free functions",
        "a handler names the types of its parameters",
        "a handler names the type that it returns",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn after_a_mistake_the_next_key_is_read() {
    let errors =
        handler(quote!(retry(attempts = 0, jiter = 1), queu(a, b), prefetch = 0, group = g));
    assert_eq!(
        errors,
        [
            "`attempts` is at least 1",
            "`retry(..)` has no key `jiter`; it has `attempts`, `backoff` and `jitter`",
            "`#[handler]` has no key `queu`; it has `queue`, `topic`, `group`, `dead_letter`, `concurrency`, \
         `prefetch`, `timeout`, `retry`, `broadcast`, `queue_type`, `max_priority` and `crate`",
            "`prefetch` is from 1 to 65535",
            "`group` takes a text in quotes",
        ]
    );
}

#[test]
fn durations_are_read_as_at_run_time() {
    for text in ["500ms", "30s", "5m", "1h 30m", "1h30m", " 2h "] {
        assert_eq!(message(quote!(event, ttl = #text)), [""; 0], "{text}");
    }
    for text in ["", "30", "s", "1.5s", "-1s", "30x", "1s30", "99999999999999999999s"] {
        assert_eq!(message(quote!(event, ttl = #text)), ["not a duration"], "{text}");
    }
}

#[test]
fn names_keep_the_limits_of_the_broker() {
    let check = |name: &str| handler(quote!(queue = #name));
    assert_eq!(check(&"q".repeat(255)), [""; 0]);
    assert_eq!(check(&"q".repeat(256)), ["`queue` has 256 bytes; AMQP allows 255"]);
    assert_eq!(check(&"ä".repeat(128)), ["`queue` has 256 bytes; AMQP allows 255"]);
    assert_eq!(check("a\u{a0}b"), ["`queue` contains the character '\\u{a0}'"]);
    assert_eq!(check("amq"), [""; 0]);
}

#[test]
fn reply_is_a_kind_where_it_stands_first_and_a_key_elsewhere() {
    assert_eq!(message(quote!(reply)), [""; 0]);
    assert_eq!(message(quote!(query, reply = Placed)), [""; 0]);
    assert_eq!(message(quote!(command, reply)), ["`reply` needs a value"]);
    assert_eq!(message(quote!(version = 2, reply)), ["the kind stands first"]);
    assert_eq!(message(quote!(reply = Placed)), ["a message is of a kind"]);
}

#[test]
fn a_function_that_is_being_typed_is_left_to_the_compiler() {
    let errors = handler_fn(quote!(async fn on(event: OrderCreated) { event. ; let }));
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_item_is_handed_back_whatever_is_wrong() {
    let item = quote!(
        fn on<T>(&self) {
            body
        }
    );
    let expansion = expand::handler(quote!(queu), item.clone()).to_string();
    assert!(expansion.starts_with(&item.to_string()), "{expansion}");
}

#[test]
fn a_mistyped_word_is_recognized() {
    let words = ["queue", "topic", "group"];
    assert_eq!(nearest("queu", &words), Some("queue"));
    assert_eq!(nearest("gruop", &["group", "groups"]), None);
    assert_eq!(nearest("tpic", &words), Some("topic"));
    assert_eq!(nearest("colour", &words), None);
    assert_eq!(listing(&words, "or"), "`queue`, `topic` or `group`");
}
