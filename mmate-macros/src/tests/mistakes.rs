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
    assert_eq!(handler(quote!(breaker, rate(1, per = "1s"), bulkhead("db", LIMIT))), [""; 0]);
    let limits = quote!(
        rate(100, per = "1s", burst = 10,),
        breaker(name = "payments", failures = 1, reset = "7d", probes = 1),
        bulkhead("db", 10,),
        fallback = crate::prices::cached,
        retry(backoff = custom(waits::of)),
    );
    assert_eq!(handler(limits), [""; 0]);
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
         `prefetch`, `timeout`, `retry`, `breaker`, `rate`, `bulkhead`, `fallback`, `cache`, `broadcast`, \
         `queue_type`, `max_priority` and `crate`",
            "`prefetch` is from 1 to 65535",
            "`group` takes a text in quotes",
        ]
    );
}

#[test]
fn each_mistake_in_a_limit_is_one_error() {
    let of = |args: TokenStream| {
        let errors = handler(args.clone());
        assert_eq!(errors.len(), 1, "{args}: {errors:#?}");
        errors[0].clone()
    };
    assert_eq!(of(quote!(breaker = 5)), "`breaker` takes its own keys, or stands alone");
    assert_eq!(of(quote!(breaker())), "`breaker()` says nothing");
    assert_eq!(of(quote!(breaker(failures = 0))), "`failures` is from 1 to 1000000");
    assert_eq!(of(quote!(breaker(probes = 0))), "`probes` is from 1 to 1000000");
    assert_eq!(of(quote!(breaker(reset = "30"))), "not a duration");
    assert_eq!(of(quote!(breaker(reset = "8d"))), "`reset` is at most 7 days");
    assert_eq!(of(quote!(breaker(name = ""))), "`name` is empty");
    assert!(of(quote!(breaker(retries = 1))).starts_with("`breaker(..)` has no key `retries`"));
    for rate in [quote!(rate), quote!(rate = 100)] {
        assert_eq!(of(rate), "`rate` takes its values in parentheses");
    }
    for rate in [quote!(rate()), quote!(rate(per = "1s")), quote!(rate("100", per = "1s"))] {
        assert_eq!(of(rate), "`rate` begins with the number of calls");
    }
    assert_eq!(of(quote!(rate(0, per = "1s"))), "the number of calls is from 1 to 1000000");
    assert_eq!(of(quote!(rate(100))), "`rate` says per which time with `per`");
    assert_eq!(of(quote!(rate(100, burst = 3))), "`rate` says per which time with `per`");
    assert_eq!(
        of(quote!(rate(100, pre = "1s"))),
        "`rate(..)` has no key `pre`; it has `per` and `burst`"
    );
    assert_eq!(of(quote!(rate(100, per = "1s", burst = 0))), "`burst` is from 1 to 1000000");
    for bulkhead in [quote!(bulkhead), quote!(bulkhead = "db")] {
        assert_eq!(of(bulkhead), "`bulkhead` takes a name and a number of places");
    }
    for bulkhead in [quote!(bulkhead()), quote!(bulkhead(10)), quote!(bulkhead(db, 10))] {
        assert_eq!(of(bulkhead), "`bulkhead` begins with its name, a text in quotes");
    }
    assert_eq!(of(quote!(bulkhead("", 10))), "`bulkhead` is empty");
    for bulkhead in [quote!(bulkhead("db")), quote!(bulkhead("db",))] {
        assert_eq!(of(bulkhead), "`bulkhead` says how many places there are");
    }
    assert_eq!(of(quote!(bulkhead("db", 0))), "the number of places is from 1 to 65535");
    assert_eq!(of(quote!(bulkhead("db", "10"))), "`bulkhead` takes a whole number or a constant");
    assert_eq!(of(quote!(bulkhead("db", 10, 11))), "`bulkhead` takes a name and a number");
    assert_eq!(of(quote!(fallback)), "`fallback` needs a value");
    for fallback in
        [quote!(fallback = "cached"), quote!(fallback = cached()), quote!(fallback = |e| e)]
    {
        assert_eq!(of(fallback), "`fallback` takes the name of an async function");
    }
    assert_eq!(of(quote!(fallback = on_created)), "handler `on_created` is its own fallback");
    for custom in [quote!(custom("1s")), quote!(custom()), quote!(custom(a, b))] {
        assert_eq!(of(quote!(retry(backoff = #custom))), "`custom` takes the name of a function");
    }
    // What comes after a mistake is read all the same.
    assert_eq!(handler(quote!(rate("x"), bulkhead("db"), prefetch = 0)).len(), 3);
}

#[test]
fn each_mistake_in_a_cache_is_one_error() {
    let errors = |args: TokenStream| {
        let item = quote!(
            async fn price(query: AskPrice) -> Result<PriceQuoted> {}
        );
        errors_of(expand::handler(args, item))
    };
    let of = |args: TokenStream| {
        let errors = errors(args.clone());
        assert_eq!(errors.len(), 1, "{args}: {errors:#?}");
        errors[0].clone()
    };
    for right in [quote!(cache = "7d"), quote!(cache(size = 1, ttl = "1ms"), broadcast)] {
        assert_eq!(errors(right), [""; 0]);
    }
    assert_eq!(of(quote!(cache)), "`cache` says how long an answer is kept");
    for cache in [quote!(cache()), quote!(cache(size = 10))] {
        assert_eq!(of(cache), "`cache` says with `ttl` how long an answer is kept");
    }
    assert_eq!(of(quote!(cache = 5)), "`cache` takes a text in quotes");
    assert_eq!(of(quote!(cache = "5")), "not a duration");
    assert_eq!(of(quote!(cache = "0s")), "`cache` is longer than zero");
    assert_eq!(of(quote!(cache = "8d")), "`cache` is at most 7 days");
    assert_eq!(of(quote!(cache(ttl = "8d"))), "`ttl` is at most 7 days");
    for size in [quote!(0), quote!(1000001)] {
        assert_eq!(of(quote!(cache(ttl = "5m", size = #size))), "`size` is from 1 to 1000000");
    }
    assert_eq!(
        of(quote!(cache(tll = "5m"))),
        "`cache(..)` has no key `tll`; it has `ttl` and `size`"
    );
    // Both are wrong: what it keeps, and that there is nothing to keep.
    let expected =
        ["`size` is from 1 to 1000000", "`cache` keeps answers, and this handler gives none"];
    assert_eq!(handler(quote!(cache(ttl = "5m", size = 0))), expected);
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
