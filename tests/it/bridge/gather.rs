//! One question to many.

use std::time::Duration;

use mmate::contract::headers::names;
use mmate::prelude::*;
use mmate::runtime::Running;
use mmate_tests::{Backend, Broker, on_every_way, unique};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Asks everybody for an offer.
#[message(query, reply = Offer)]
struct AskOffers {
    product: String,
}

#[message(reply)]
struct Offer {
    cents: u32,
}

/// What a service charges.
struct Cents(u32);

#[handler]
async fn offer(query: AskOffers, cents: State<Cents>) -> Result<Offer> {
    match (query.product.as_str(), cents.0) {
        ("rare", 2) => Err(Reject::new("SOLD_OUT", "there is none").into()),
        ("slow", 2) => std::future::pending().await,
        (_, cents) => Ok(Offer { cents }),
    }
}

/// On a shared broker every service hears the questions of all others: one of these tests at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

struct Market {
    sellers: Vec<Running>,
    buyer: Running,
}

impl Market {
    async fn open(broker: &Broker) -> Self {
        let mut sellers = Vec::new();
        for cents in 1..=3 {
            let seller = broker.service(&unique("seller")).await.handler::<offer>();
            sellers.push(seller.provide(Cents(cents)).start().await.expect("boots"));
        }
        let buyer = broker.service(&unique("buyer")).await.publish_only().start().await;
        Self { sellers, buyer: buyer.expect("boots") }
    }

    async fn close(self) {
        self.buyer.stop().await;
        for seller in self.sellers {
            // The queue of a question is the service's own, and would go on to be bound.
            let (transport, queues) = (seller.transport(), seller.health().consumers);
            for consumer in queues {
                transport.delete_queue(&consumer.queue).await.expect("deleted");
            }
            seller.stop().await;
        }
    }
}

fn about(product: &str) -> AskOffers {
    AskOffers { product: product.to_owned() }
}

fn cents(gathered: mmate::bridge::Gathered<Offer>) -> Vec<u32> {
    let mut cents: Vec<u32> = gathered.into_replies().map(|offer| offer.cents).collect();
    cents.sort_unstable();
    cents
}

async fn every_service_answers_once_and_the_time_or_the_number_ends_it(backend: Backend) {
    let _alone = ALONE.lock().await;
    let broker = backend.broker().await;
    let market = Market::open(&broker).await;
    let bridge = market.buyer.bridge();
    let began = Instant::now();
    let all = bridge.gather(about("tea")).max(3).within("20s").await.expect("three offers");
    assert!(began.elapsed() < Duration::from_secs(15), "the third reply ends it");
    assert!(all.replies.iter().all(|gotten| gotten.responder.contains("seller")), "{all:?}");
    assert_eq!(cents(all), [1, 2, 3]);
    let began = Instant::now();
    let timely = bridge.gather(about("slow")).min(2).within("500ms").await.expect("two offers");
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(cents(timely), [1, 3]);
    assert_eq!(bridge.pending(), 0);
    market.close().await;
}

async fn refusals_are_kept_apart_and_too_few_replies_are_an_error(backend: Backend) {
    let _alone = ALONE.lock().await;
    let broker = backend.broker().await;
    let market = Market::open(&broker).await;
    let bridge = market.buyer.bridge();
    let some = bridge.gather(about("rare")).min(2).within("500ms").await.expect("two offers");
    assert_eq!(some.refusals[0].answer.code, "SOLD_OUT");
    assert_eq!(cents(some), [1, 3]);
    let few = bridge.gather(about("rare")).min(3).within("500ms").await.unwrap_err();
    assert_eq!((few.kind(), few.code()), (AskErrorKind::TooFew, "TOO_FEW"));
    assert!(few.to_string().contains("2 replies came, and at least 3 are needed"), "{few}");
    let wrong = bridge.gather(about("rare")).min(3).max(2).await.unwrap_err();
    assert_eq!(wrong.kind(), AskErrorKind::Invalid);
    market.close().await;
}

async fn a_second_answer_of_one_responder_is_dropped(backend: Backend) {
    let _alone = ALONE.lock().await;
    let broker = backend.broker().await;
    let market = Market::open(&broker).await;
    let bridge = market.buyer.bridge();
    // The same question from elsewhere, with the same ids and reply address, as a redelivery would bring it.
    let transport = broker.connect().await;
    let mut topology = mmate::transport::Topology::default();
    let spy = unique("spy");
    topology.queue(mmate::transport::Queue::new(&spy));
    topology.bind("mmate.queries", &spy, "qry.AskOffers");
    transport.declare(&topology).await.expect("declared");
    let gathering = bridge.gather(about("tea")).within("1500ms").into_future();
    let copying = async {
        let question = mmate_tests::take(&transport, &spy).await;
        assert!(question.properties.headers.get(names::DEADLINE).is_some());
        let queue = market.sellers[0].health().consumers[0].queue.clone();
        mmate_tests::publish_raw(&transport, &queue, question.properties, question.body).await;
    };
    let (gathered, ()) = tokio::join!(gathering, copying);
    let gathered = gathered.expect("three offers");
    assert_eq!((gathered.duplicates, cents(gathered)), (1, vec![1, 2, 3]));
    transport.delete_queue(&spy).await.expect("deleted");
    market.close().await;
}

on_every_way! {
    every_service_answers_once_and_the_time_or_the_number_ends_it
    refusals_are_kept_apart_and_too_few_replies_are_an_error
    a_second_answer_of_one_responder_is_dropped
}
