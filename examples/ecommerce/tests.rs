//! Every way through the shop, on a virtual clock.

mod edge;

use std::collections::BTreeMap;
use std::sync::Arc;

use mmate::contract::Message;
use mmate::contract::address::Address;
use mmate::prelude::*;
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{Outgoing, Properties, Transport};

use crate::contracts::{
    Item, OrderCompleted, OrderPlaced, OrderRefused, PaymentTaken, PlaceOrder, ReleaseStock,
    Service, StockReserved, TakePayment,
};
use crate::inventory::Stock;
use crate::orders::{OrderBook, OrderState};
use crate::outcome::{Fate, Outcome};
use crate::payment::{Capture, Gateway};
use crate::{demo, judge};

fn order(card: &str, items: &[(&str, u32)]) -> PlaceOrder {
    let item = |(product, quantity): &(&str, u32)| Item {
        product_id: (*product).to_owned(),
        quantity: *quantity,
    };
    PlaceOrder {
        order_id: "7".to_owned(),
        customer_id: "ada".to_owned(),
        card: card.to_owned(),
        items: items.iter().map(item).collect(),
    }
}

fn state_of(app: &TestApp, order_id: &str) -> OrderState {
    app.state::<OrderBook>().orders()[order_id].state.clone()
}

fn charged(app: &TestApp) -> Vec<Decimal> {
    app.state::<Gateway>().captures().iter().map(|capture| capture.amount).collect()
}

fn left(app: &TestApp, product: &str) -> u32 {
    app.state::<Stock>().count().left[product]
}

/// The order ended with this refusal, nothing was charged and nothing is set aside.
fn assert_refused(app: &TestApp, by: Service, reason: &str) {
    let refused = app.published::<OrderRefused>().one().message;
    assert_eq!((refused.by, refused.reason.as_str()), (by, reason));
    let reason = reason.to_owned();
    assert_eq!(state_of(app, "7"), OrderState::Refused { by, reason });
    assert_eq!(charged(app), []);
    let inventory = app.state::<Stock>().count();
    assert_eq!(inventory.left, inventory.opening);
    app.published::<OrderCompleted>().none();
}

#[mmate::test]
async fn an_order_is_priced_by_the_shop_paid_and_completed(app: TestApp) -> Result {
    app.send(order("tok_visa", &[("tea", 2), ("kettle", 1)])).correlation_id("flow").await?;
    app.settle().await;
    let completed = app.published::<OrderCompleted>().one();
    assert_eq!(completed.message.total, Decimal::new(48_80, 2));
    assert_eq!(completed.meta.correlation_id.as_deref(), Some("flow"));
    assert_eq!(charged(&app), [Decimal::new(48_80, 2)]);
    assert_eq!(left(&app, "tea"), 1_998);
    assert_eq!(app.counts().retried + app.counts().rejected + app.counts().dead_lettered, 0);
    Ok(())
}

#[mmate::test]
async fn the_orders_service_refuses_customers_and_products(app: TestApp) -> Result {
    for (order_id, customer_id, product, reason) in [
        ("1", "mallory", "tea", "the customer is blocked"),
        ("2", "eve", "tea", "the customer is not known"),
        ("3", "ada", "unicorn", "a product is not known"),
    ] {
        let (order_id, customer_id) = (order_id.to_owned(), customer_id.to_owned());
        app.send(PlaceOrder { order_id, customer_id, ..order("tok_visa", &[(product, 1)]) })
            .await?;
        app.settle().await;
        let refused = app.published::<OrderRefused>().all().pop().map(|refused| refused.message);
        let refused = refused.map(|refused| (refused.by, refused.reason));
        assert_eq!(refused, Some((Service::Orders, reason.to_owned())));
    }
    app.published::<OrderPlaced>().none();
    Ok(())
}

#[mmate::test]
async fn the_inventory_service_refuses_what_is_not_there(app: TestApp) -> Result {
    app.send(order("tok_visa", &[("tea", 1), ("lamp", 13)])).await?;
    app.settle().await;
    assert_refused(&app, Service::Inventory, "not enough lamp in stock");
    app.published::<TakePayment>().none();
    Ok(())
}

#[mmate::test]
async fn a_declined_card_gives_the_stock_back(app: TestApp) -> Result {
    app.send(order("tok_declined", &[("lamp", 12)])).await?;
    app.settle().await;
    app.published::<StockReserved>().one();
    app.published::<ReleaseStock>().one();
    assert_refused(&app, Service::Payment, "the card was declined");
    assert_eq!(app.counts().retried, 0);
    Ok(())
}

#[mmate::test]
async fn a_provider_that_comes_back_is_asked_until_it_answers(app: TestApp) -> Result {
    app.send(order("tok_flaky_3", &[("mug", 1)])).await?;
    app.settle().await;
    assert_eq!(app.published::<PaymentTaken>().one().message.attempts, 4);
    assert_eq!(app.counts().retried, 3);
    assert_eq!(charged(&app), [Decimal::new(8_75, 2)]);
    app.published::<OrderCompleted>().one();
    Ok(())
}

#[mmate::test]
async fn a_provider_that_never_answers_leaves_a_dead_letter(app: TestApp) -> Result {
    app.send(order("tok_unreachable", &[("mug", 3)])).await?;
    app.settle().await;
    let parked = app.dead_letters("cmd.payment.TakePayment");
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].reason(), parked[0].attempts()), ("retries_exhausted", 5));
    // A person decides; until then the stock is kept for the customer.
    assert_eq!((state_of(&app, "7"), left(&app, "mug")), (OrderState::Paying, 1_497));
    assert_eq!(charged(&app), []);
    Ok(())
}

#[mmate::test]
async fn a_lost_answer_does_not_charge_twice(app: TestApp) -> Result {
    app.send(order("tok_lost_answer", &[("mug", 1)])).await?;
    app.settle().await;
    assert_eq!(app.counts().retried, 1);
    assert_eq!(charged(&app).len(), 1);
    app.published::<OrderCompleted>().one();
    Ok(())
}

#[mmate::test]
async fn a_repeated_order_is_rejected_and_charged_once(app: TestApp) -> Result {
    for _ in 0..3 {
        app.send(order("tok_visa", &[("mug", 1)])).await?;
        app.settle().await;
    }
    assert_eq!(app.counts().rejected, 2);
    assert_eq!(charged(&app).len(), 1);
    app.published::<OrderCompleted>().one();
    Ok(())
}

/// The broker may deliver a message twice; that is no second order, and nothing happens twice.
#[mmate::test]
async fn a_redelivered_order_changes_nothing(app: TestApp) -> Result {
    for _ in 0..2 {
        app.send(order("tok_visa", &[("mug", 1)])).id("the-same-message").await?;
        app.settle().await;
    }
    assert_eq!(app.counts().rejected, 0);
    assert_eq!((charged(&app).len(), left(&app, "mug")), (1, 1_499));
    let placed = app.published::<OrderPlaced>().exactly(2);
    assert_eq!(placed[0].meta.id, placed[1].meta.id);
    Ok(())
}

#[mmate::test]
async fn what_breaks_the_contract_is_parked_with_the_reason(app: TestApp) -> Result {
    app.send(order("tok_visa", &[])).await?;
    app.send(order("tok_visa", &[("tea", 0)])).await?;
    app.send(PlaceOrder { order_id: "7 or 8".to_owned(), ..order("tok_visa", &[("tea", 1)]) })
        .await?;
    let address = Address::of(PlaceOrder::INFO, "shop", None);
    let no_json = Outgoing::new(address, Properties::default(), "two cups of tea");
    app.transport().publish(no_json).await?;
    app.settle().await;
    let parked = app.dead_letters("cmd.orders.PlaceOrder");
    let reasons: Vec<&str> = parked.iter().map(|letter| letter.reason()).collect();
    assert_eq!(reasons, ["schema_violation", "schema_violation", "schema_violation", "not_json"]);
    assert_eq!(app.counts().handled + app.counts().retried, 0);
    Ok(())
}

async fn run_the_demo() -> Result<Outcome> {
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new());
    demo::run(&crate::shop().transport(transport).start().await?).await
}

/// On the real clock, because HTTP is real.
#[tokio::test]
async fn the_whole_file_adds_up() {
    let outcome = run_the_demo().await.expect("it adds up");
    assert!(outcome.lines.len() >= 200);
    let kinds: BTreeMap<u8, usize> =
        outcome.by_fate().into_iter().fold(BTreeMap::new(), |mut kinds, (fate, lines)| {
            let kind = match fate {
                Fate::Completed => 0,
                Fate::Refused { .. } => 1,
                Fate::Repeated => 2,
                Fate::Parked { .. } => 3,
                Fate::TurnedAway { .. } => 4,
            };
            *kinds.entry(kind).or_default() += lines;
            kinds
        });
    assert_eq!(kinds, BTreeMap::from([(0, 184), (1, 38), (2, 7), (3, 14), (4, 6)]));
}

#[tokio::test]
async fn the_judge_sees_what_does_not_add_up() {
    let good = run_the_demo().await.expect("it adds up");
    let check = |spoil: fn(&mut Outcome), expected: &str| {
        let mut outcome = good.clone();
        spoil(&mut outcome);
        let problems = judge::problems(&outcome).join("\n");
        assert!(problems.contains(expected), "{expected}: {problems}");
    };
    check(|outcome| outcome.lines[0].1.clear(), "line 1 has no fate");
    check(|outcome| outcome.lines[0].1.push(Fate::Repeated), "it must have one fate");
    check(
        |outcome| {
            outcome.lines[0].1 =
                vec![Fate::Parked { queue: "q".to_owned(), reason: "panic".to_owned() }];
        },
        "line 1 is parked as Some(\"panic\"), expected None",
    );
    check(
        |outcome| {
            let again: Capture = outcome.captures[0].clone();
            outcome.captures.push(again);
        },
        "was charged [",
    );
    check(|outcome| outcome.captures.clear(), "is not paid");
    check(|outcome| outcome.inventory.reservations.clear(), "and None is set aside");
    check(
        |outcome| {
            outcome.inventory.left.insert("tea".to_owned(), 0);
        },
        "of 2000 tea",
    );
    check(
        |outcome| {
            let answers = outcome.answers.values_mut().find(|answers| answers[0].status == 422);
            answers.expect("a refusal")[0].status = 201;
        },
        "was answered Some((201, ",
    );
    check(
        |outcome| outcome.answers.retain(|_, answers| answers[0].status != 503),
        "was answered 0 times",
    );
    check(
        |outcome| {
            let states = &mut outcome.states;
            states.values_mut().for_each(|state| *state = "paying".to_owned());
        },
        "is Some(\"paying\") by HTTP, expected Some(\"completed\")",
    );
}
