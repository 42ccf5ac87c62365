//! Which queries are equal, the bounds, and single flight in all orders of events, on a virtual clock.

use std::cell::Cell;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use proptest::prelude::*;

use super::*;
use crate::contract::Refusal;
use crate::contract::envelope::open;
use crate::contract::headers::names;
use crate::contract::{HeaderValue, Kind, Location, MessageInfo};
use crate::handler::{CachePolicy, HandlerError};
use crate::transport::{Properties, Tag};

const HERE: Location = Location { module: "cache", file: "cache.rs", line: 1 };
const TTL: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(30);
const HOLD_MAX: Duration = Duration::from_secs(25 * 60);

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is asked for")]
struct Ask {
    item: String,
    options: HashMap<String, String>,
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is asked for")]
struct AskWithFields {
    #[serde(rename = "replyTo")]
    reply_to: String,
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is asked for")]
struct AskAnything {
    #[serde(flatten)]
    rest: HashMap<String, serde_json::Value>,
}

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is asked for")]
enum AskOne {
    Price { item: String },
    Stock { item: String },
}

static ASK: MessageInfo = MessageInfo::new::<Ask>(Kind::Query, "Ask", HERE);

fn name_of(given: &Given) -> &'static str {
    match given {
        Given::Answer(answer) => answer.name,
        Given::Nothing => "nothing",
    }
}

fn answer(name: &'static str) -> Answer {
    Answer { name, payload: Arc::new(Refusal::new("", "")), refusal: None }
}

fn key_of(info: &MessageInfo, payload: &str, headers: &[(&str, HeaderValue)]) -> Option<Key> {
    let body = format!(r#"{{"id":"1","type":"Ask","payload":{payload}}}"#);
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let properties = Properties { headers: headers.collect(), ..Properties::default() };
    let delivery = Delivery::new(Tag(1), "qry.shop.Ask", properties, Bytes::new());
    let opened = open(body.as_bytes()).expect("an envelope");
    Keys::of_queries(info, &["tenant".to_owned()]).of(&opened, &delivery)
}

fn key(payload: &str) -> Option<Key> {
    key_of(&ASK, payload, &[])
}

#[test]
fn spelling_makes_no_difference() {
    let plain = key(r#"{"item":"tea","sizes":[1,{"a":null,"b":true}]}"#).expect("a key");
    for same in [
        "{ \"sizes\" :\n[ 1 , {\"b\": true, \"a\":null} ], \"item\":\"tea\"}",
        r#"{"item":"\u0074e\u0061","sizes":[1,{"a":null,"b":true}]}"#,
        r#"{"replyTo":"rpl.1","item":"tea","sizes":[1,{"a":null,"b":true}],"targetService":"shop"}"#,
    ] {
        assert_eq!(key(same), Some(Arc::clone(&plain)), "{same}");
    }
}

#[test]
fn whatever_a_handler_can_tell_apart_has_keys_of_its_own() {
    let payloads = [
        r#"{}"#,
        r#"{"item":"tea"}"#,
        r#"{"item":"tea "}"#,
        r#"{"item":["tea"]}"#,
        r#"{"item":null}"#,
        r#"{"item":{"replyTo":"rpl.1"}}"#,
        r#"{"item":{"replyTo":"rpl.2"}}"#,
        r#"{"item":1}"#,
        r#"{"item":"1"}"#,
        r#"{"item":[[1],2]}"#,
        r#"{"item":[1,[2]]}"#,
        // Equal as floats.
        r#"{"item":340282366920938463463374607431768211454}"#,
        r#"{"item":340282366920938463463374607431768211455}"#,
    ];
    let keys: std::collections::HashSet<Key> =
        payloads.iter().map(|payload| key(payload).expect("a key")).collect();
    assert_eq!(keys.len(), payloads.len());
}

#[test]
fn tenants_and_versions_are_told_apart_and_other_headers_are_not() {
    let of = |name, value: HeaderValue| key_of(&ASK, "{}", &[(name, value)]).expect("a key");
    let none = key("{}").expect("a key");
    let mut keys = vec![
        none.clone(),
        of("tenant", "acme".into()),
        of("tenant", "other".into()),
        of("tenant", "".into()),
        of("tenant", 1.into()),
        of("tenant", "1".into()),
        of(names::SCHEMA_VERSION, 2.into()),
    ];
    assert_eq!(of("Tenant", "acme".into()), keys[1], "names of headers have no case");
    keys.dedup();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 7);
    assert_eq!(of("user", "ada".into()), none);
}

#[test]
fn a_field_of_the_message_is_never_taken_for_one_of_the_family() {
    let differ = |info: &MessageInfo| {
        key_of(info, r#"{"replyTo":"a"}"#, &[]) != key_of(info, r#"{"replyTo":"b"}"#, &[])
    };
    assert!(!differ(&ASK));
    assert!(!differ(&MessageInfo::new::<AskOne>(Kind::Query, "Ask", HERE)));
    assert!(differ(&MessageInfo::new::<AskWithFields>(Kind::Query, "Ask", HERE)));
    assert!(differ(&MessageInfo::new::<AskAnything>(Kind::Query, "Ask", HERE)));
}

#[test]
fn what_is_large_or_ambiguous_is_not_cached() {
    let of_size = |size: usize| key(&format!(r#"{{"item":"{}"}}"#, "x".repeat(size)));
    assert!(of_size(KEY_BYTES_MAX - 64).is_some());
    assert!(of_size(KEY_BYTES_MAX).is_none());
    assert!(key(r#"{"item":1,"item":2}"#).is_none(), "a name twice");
    assert!(key(r#"{"item":"\ud800"}"#).is_none(), "half a character");
}

fn cache(size: u32) -> Arc<ReplyCache> {
    let entry = HandlerEntry::new("ask", HERE, &ASK, |_| (), |_| Err(HandlerError::msg("unused")));
    let millis = u64::try_from(TTL.as_millis()).expect("a minute");
    let entry = entry.cache(CachePolicy::new(millis).size(size));
    ReplyCache::of(&entry, &[], HOLD_MAX).expect("it has a cache")
}

fn named(name: &str) -> Key {
    name.as_bytes().into()
}

async fn look(cache: &Arc<ReplyCache>, name: &str) -> Looked {
    let halted = watch::Sender::new(false);
    cache.look_for(named(name), LIMIT, Hold { since: Instant::now(), halted: &halted }).await
}

async fn found(cache: &Arc<ReplyCache>, name: &str) -> Option<&'static str> {
    match look(cache, name).await {
        Looked::Found(given) => Some(name_of(&given)),
        Looked::Call(_) => None,
        other => panic!("{other:?}"),
    }
}

/// Looks, calls, answers.
async fn call(cache: &Arc<ReplyCache>, name: &str, answered: &'static str) {
    let Looked::Call(mut caching) = look(cache, name).await else { panic!("there is an answer") };
    caching.call();
    caching.land(&Outcome::Answered(answer(answered)));
    assert_eq!(caching.finish(), None);
}

fn seats(cache: &ReplyCache) -> usize {
    cache.lock().flights.len()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_again_until_its_time_is_over() {
    let cache = cache(10);
    call(&cache, "tea", "first").await;
    tokio::time::advance(TTL - Duration::from_millis(1)).await;
    assert_eq!(found(&cache, "tea").await, Some("first"));
    assert_eq!(found(&cache, "coffee").await, None);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(found(&cache, "tea").await, None, "being asked for does not make it younger");
    call(&cache, "tea", "second").await;
    assert_eq!(found(&cache, "tea").await, Some("second"));
    assert_eq!(seats(&cache), 0);
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_nobody_asked_for_the_longest_makes_room() {
    let cache = cache(2);
    call(&cache, "a", "a").await;
    call(&cache, "b", "b").await;
    assert_eq!(found(&cache, "a").await, Some("a"));
    call(&cache, "c", "c").await;
    assert_eq!(found(&cache, "b").await, None);
    assert_eq!((found(&cache, "a").await, found(&cache, "c").await), (Some("a"), Some("c")));
    assert_eq!(cache.lock().kept.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_an_answer_is_not_kept() {
    let cache = cache(10);
    let Looked::Call(mut caching) = look(&cache, "tea").await else { panic!("nothing is kept") };
    caching.call();
    caching.land(&Outcome::Answered(Answer::refuse(Refusal::new("SOLD_OUT", "no tea"))));
    assert_eq!(caching.finish(), None);
    assert_eq!(found(&cache, "tea").await, None);
}

#[tokio::test(start_paused = true)]
async fn only_an_answer_that_has_left_is_kept() {
    let cache = cache(10);
    let ends: [fn() -> Outcome; 3] = [
        || Outcome::Answered(answer("never sent")),
        || Outcome::Done,
        || Outcome::Failed(HandlerError::msg("away")),
    ];
    for end in ends {
        let Looked::Call(mut caching) = look(&cache, "tea").await else { panic!("an answer") };
        caching.land(&end());
        drop(caching);
    }
    let Looked::Call(mut caching) = look(&cache, "tea").await else { panic!("an answer") };
    caching.land(&Outcome::Done);
    caching.finish();
    assert_eq!(found(&cache, "tea").await, None);
    assert_eq!((seats(&cache), cache.lock().kept.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn equal_queries_wait_for_the_one_that_calls_and_one_of_them_is_next() {
    let cache = cache(1);
    let Looked::Call(first) = look(&cache, "tea").await else { panic!("an answer") };
    first.call();
    let mut waiting: FuturesUnordered<_> = (0..3).map(|_| look(&cache, "tea")).collect();
    assert!(futures_util::poll!(waiting.next()).is_pending());
    drop(first);
    let Some(Looked::Call(mut second)) = waiting.next().await else { panic!("nobody is next") };
    assert!(futures_util::poll!(waiting.next()).is_pending(), "one at a time");
    second.land(&Outcome::Answered(answer("second")));
    second.finish();
    // Pushed out meanwhile: those who waited have it all the same.
    call(&cache, "coffee", "coffee").await;
    for _ in 0..2 {
        let Some(Looked::Found(answer)) = waiting.next().await else { panic!("no answer") };
        assert_eq!(name_of(&answer), "second");
    }
    drop(waiting);
    assert_eq!(seats(&cache), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_leaves_when_the_consumer_is_halted() {
    let (cache, halted) = (cache(10), watch::Sender::new(false));
    let _first = look(&cache, "tea").await;
    let hold = Hold { since: Instant::now(), halted: &halted };
    let mut waiting = Box::pin(cache.look_for(named("tea"), LIMIT, hold));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    halted.send_replace(true);
    assert!(matches!(waiting.await, Looked::Left));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_calls_is_limited_as_a_call_is_and_waiting_for_limits_as_they_are() {
    let cache = cache(10);
    let Looked::Call(first) = look(&cache, "tea").await else { panic!("an answer") };
    let began = Instant::now();
    assert!(matches!(look(&cache, "tea").await, Looked::Late), "no call has begun");
    assert_eq!(began.elapsed(), HOLD_MAX);
    first.call();
    let began = Instant::now();
    assert!(matches!(look(&cache, "tea").await, Looked::TimedOut));
    assert_eq!(began.elapsed(), LIMIT + Duration::from_millis(1));
    drop(first);
    assert_eq!(seats(&cache), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_several_calls_is_added_up() {
    let (cache, began) = (cache(10), Instant::now());
    let Looked::Call(first) = look(&cache, "tea").await else { panic!("an answer") };
    let (mut second, mut third) = (Box::pin(look(&cache, "tea")), Box::pin(look(&cache, "tea")));
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    assert!(futures_util::poll!(third.as_mut()).is_pending());
    first.call();
    assert!(futures_util::poll!(third.as_mut()).is_pending());
    tokio::time::advance(Duration::from_secs(20)).await;
    drop(first);
    let Looked::Call(second) = second.await else { panic!("an answer") };
    assert!(futures_util::poll!(third.as_mut()).is_pending());
    // It waits for its limits: that costs the others nothing.
    tokio::time::advance(Duration::from_secs(60)).await;
    second.call();
    assert!(matches!(third.await, Looked::TimedOut));
    assert_eq!(began.elapsed(), Duration::from_secs(20 + 60 + 10) + Duration::from_millis(1));
}

/// A query: when it comes, what it asks for, how long its call takes, how the call ends.
type Step = (u64, u8, u64, u8);

struct Model {
    cache: Arc<ReplyCache>,
    /// Which of the four questions is being answered.
    calling: [Cell<bool>; 4],
    /// When the question's newest answer was given.
    answered: [Cell<Option<Instant>>; 4],
}

const QUESTIONS: [&str; 4] = ["a", "b", "c", "d"];

impl Model {
    async fn ask(&self, (after, question, takes, end): Step) {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let (asked, at) = (Instant::now(), usize::from(question));
        let looked = look(&self.cache, QUESTIONS[at]).await;
        // Also one that was given while it waited.
        let fresh = self.answered[at].get().is_some_and(|answered| asked < answered + TTL);
        let mut caching = match looked {
            Looked::Found(answer) => {
                assert_eq!(name_of(&answer), QUESTIONS[at]);
                assert!(fresh, "an answer that was too old, or that nobody gave");
                return;
            }
            Looked::Call(caching) => caching,
            Looked::TimedOut => return,
            other => panic!("{other:?}"),
        };
        assert!(!fresh, "there was an answer");
        assert!(!self.calling[at].replace(true), "two calls at a time");
        caching.call();
        // Cut off in the middle of the call, as by a lost connection.
        let cut_off = Duration::from_secs(if end == 0 { takes / 2 } else { takes });
        tokio::time::sleep(cut_off).await;
        self.calling[at].set(false);
        match end {
            0 => drop(caching),
            1 => caching.land(&Outcome::Failed(HandlerError::msg("away"))),
            _ => {
                caching.land(&Outcome::Answered(answer(QUESTIONS[at])));
                self.answered[at].set(Some(Instant::now()));
                caching.finish();
            }
        }
    }
}

proptest! {
    #[test]
    fn one_call_at_a_time_none_too_many_and_no_answer_too_old(
        steps in proptest::collection::vec((0..200_u64, 0..4_u8, 0..20_u64, 0..5_u8), 0..60),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let model = Model {
                cache: cache(4),
                calling: Default::default(),
                answered: Default::default(),
            };
            let mut asking: FuturesUnordered<_> = steps.iter().map(|step| model.ask(*step)).collect();
            while asking.next().await.is_some() {}
            assert_eq!(seats(&model.cache), 0, "nobody is there any more");
        });
    }
}
