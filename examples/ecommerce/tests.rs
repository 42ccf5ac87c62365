//! Every way through the shop, on a virtual clock.

mod edge;

use std::collections::BTreeMap;
use std::sync::Arc;

use mmate::contract::Message;
use mmate::contract::address::Address;
use mmate::prelude::*;
use mmate::transport::memory::MemoryTransport;
use mmate::transport::{Outgoing, Properties, Transport};

use crate::contracts::{Item, OrderCompleted, OrderPlaced, OrderRefused, PlaceOrder};
use crate::orders::instance_of;
use crate::outcome::{self, Fate, Order, Outcome};
use crate::world::{Books, Parcels, World};
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

fn of_customer(customer_id: &str, card: &str) -> PlaceOrder {
    let customer_id = customer_id.to_owned();
    PlaceOrder { customer_id, ..order(card, &[("mug", 1)]) }
}

fn books(app: &TestApp) -> Books {
    app.state::<World>().books()
}

fn left(app: &TestApp, product: &str) -> u32 {
    books(app).shelves.left[product]
}

/// How often the card was charged, and what it paid in the end.
fn charged(app: &TestApp) -> (usize, Decimal) {
    let accounts = books(app).accounts;
    (accounts.charges.len(), accounts.paid("7"))
}

/// The order as its workflow has it.
async fn placed(app: &TestApp) -> Order {
    app.settle().await;
    let workflows = app.workflows();
    let mut orders = outcome::orders(&workflows, "").await.unwrap();
    outcome::look_back(&workflows, &mut orders).await.unwrap();
    let order = orders.remove("7").expect("the order is there");
    assert!(orders.is_empty());
    order
}

/// The order failed at this stage and is undone in this order, everybody was told, and nothing is left of it.
async fn assert_failed(app: &TestApp, stage: &str, reason: &str, undone: &[&str]) {
    let order = placed(app).await;
    let (stage, reason) = (stage.to_owned(), reason.to_owned());
    assert_eq!(order.fate, Fate::Failed { stage, reason: reason.clone() });
    assert_eq!(order.undone, undone);
    assert_eq!(app.published::<OrderRefused>().one().message.reason, reason);
    app.published::<OrderCompleted>().none();
    let books = books(app);
    assert_eq!(books.accounts.paid("7"), Decimal::ZERO);
    assert_eq!(books.shelves.left, books.shelves.opening);
    assert_eq!(books.parcels.shipped("7"), 0);
}

#[mmate::test]
async fn an_order_is_priced_by_the_shop_paid_and_shipped(app: TestApp) -> Result {
    app.send(order("tok_visa", &[("tea", 2), ("kettle", 1)])).correlation_id("flow").await?;
    assert_eq!(placed(&app).await.fate, Fate::Completed);
    let completed = app.published::<OrderCompleted>().one();
    assert_eq!(completed.message.total, Decimal::new(48_80, 2));
    assert_eq!(completed.meta.correlation_id.as_deref(), Some("flow"));
    assert_eq!(charged(&app), (1, Decimal::new(48_80, 2)));
    assert_eq!((left(&app, "tea"), books(&app).parcels.shipped("7")), (1_998, 1));
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
        assert_eq!(refused.map(|refused| refused.reason).as_deref(), Some(reason));
    }
    app.published::<OrderPlaced>().none();
    Ok(())
}

#[mmate::test]
async fn an_order_that_is_too_large_fails_before_anything_is_done(app: TestApp) -> Result {
    app.send(order("tok_visa", &[("mug", 600), ("tea", 401)])).await?;
    let why = "more than 1000 pieces are not sold at a time";
    assert_failed(&app, "validate", why, &["accept"]).await;
    assert!(books(&app).shelves.reservations.is_empty());
    Ok(())
}

#[mmate::test]
async fn the_warehouse_refuses_what_is_not_there(app: TestApp) -> Result {
    app.send(order("tok_visa", &[("tea", 1), ("lamp", 13)])).await?;
    assert_failed(&app, "reserve_inventory", "not enough lamp in stock", &["accept"]).await;
    assert_eq!(charged(&app).0, 0);
    Ok(())
}

#[mmate::test]
async fn a_declined_card_gives_the_stock_back(app: TestApp) -> Result {
    app.send(order("tok_declined", &[("lamp", 12)])).await?;
    let undone = ["reserve_inventory", "accept"];
    assert_failed(&app, "charge", "the card was declined", &undone).await;
    assert_eq!((charged(&app).0, app.counts().retried), (0, 0));
    Ok(())
}

#[mmate::test]
async fn a_bank_that_comes_back_is_asked_until_it_answers(app: TestApp) -> Result {
    app.send(order("tok_flaky_3", &[("mug", 1)])).await?;
    assert_eq!(placed(&app).await.fate, Fate::Completed);
    assert_eq!(app.counts().retried, 3);
    assert_eq!(charged(&app), (1, Decimal::new(8_75, 2)));
    Ok(())
}

#[mmate::test]
async fn a_bank_that_does_not_come_back_costs_nobody_anything(app: TestApp) -> Result {
    app.send(order("tok_unreachable", &[("mug", 3)])).await?;
    let undone = ["reserve_inventory", "accept"];
    assert_failed(&app, "charge", "the bank cannot be reached", &undone).await;
    assert_eq!((charged(&app).0, app.counts().retried), (0, 4));
    Ok(())
}

#[mmate::test]
async fn a_lost_answer_does_not_charge_twice(app: TestApp) -> Result {
    app.send(order("tok_lost_answer", &[("mug", 1)])).await?;
    assert_eq!(placed(&app).await.fate, Fate::Completed);
    assert_eq!((charged(&app).0, app.counts().retried), (1, 1));
    Ok(())
}

/// Nobody ever said that the card was charged, and the money comes back all the same.
#[mmate::test]
async fn a_charge_that_nobody_knows_of_is_paid_back(app: TestApp) -> Result {
    app.send(order("tok_silent", &[("mug", 1)])).await?;
    let why = "stage `charge` did not end within 250ms and was cancelled";
    assert_failed(&app, "charge", why, &["charge", "reserve_inventory", "accept"]).await;
    assert_eq!(charged(&app), (1, Decimal::ZERO));
    Ok(())
}

#[mmate::test]
async fn an_order_that_cannot_be_shipped_is_paid_back(app: TestApp) -> Result {
    app.send(of_customer("nemo", "tok_visa")).await?;
    let undone = ["charge", "reserve_inventory", "accept"];
    assert_failed(&app, "ship", "nobody delivers to a submarine", &undone).await;
    assert_eq!(charged(&app), (1, Decimal::ZERO));
    Ok(())
}

#[mmate::test]
async fn a_parcel_that_nobody_knows_of_is_called_back(app: TestApp) -> Result {
    app.send(of_customer("amelia", "tok_visa")).await?;
    let why = "stage `ship` did not end within 500ms and was cancelled";
    assert_failed(&app, "ship", why, &["ship", "charge", "reserve_inventory", "accept"]).await;
    Ok(())
}

#[mmate::test]
async fn who_cannot_be_written_to_gets_the_parcel(app: TestApp) -> Result {
    app.send(of_customer("hedy", "tok_visa")).await?;
    let order = placed(&app).await;
    assert_eq!((order.fate, order.tolerated), (Fate::Completed, vec!["notify".to_owned()]));
    assert!(order.undone.is_empty());
    app.published::<OrderCompleted>().one();
    Ok(())
}

/// Nothing is called undone that is not: the order waits, with its stock and the money, for a person.
#[mmate::test]
async fn what_cannot_be_paid_back_is_stuck_until_somebody_resumes_it(app: TestApp) -> Result {
    app.send(of_customer("nemo", "tok_closed")).await?;
    let stuck = placed(&app).await;
    let why = "nobody delivers to a submarine";
    let (stage, reason) = ("ship".to_owned(), why.to_owned());
    assert_eq!(stuck.fate, Fate::Stuck { stage, reason });
    assert!(stuck.undone.is_empty());
    assert_eq!((charged(&app).1, left(&app, "mug")), (Decimal::new(8_75, 2), 1_499));
    app.published::<OrderRefused>().none();
    // As long as the account is closed it helps nobody to try again.
    app.workflows().resume(instance_of("7")).await?;
    assert!(placed(&app).await.is_stuck());
    app.state::<World>().reopen_accounts();
    app.workflows().resume(instance_of("7")).await?;
    assert_failed(&app, "ship", why, &["charge", "reserve_inventory", "accept"]).await;
    Ok(())
}

#[mmate::test]
async fn a_repeated_order_is_rejected_and_charged_once(app: TestApp) -> Result {
    for _ in 0..3 {
        app.send(order("tok_visa", &[("mug", 1)])).await?;
        app.settle().await;
    }
    assert_eq!(app.counts().rejected, 2);
    assert_eq!(charged(&app).0, 1);
    app.published::<OrderCompleted>().one();
    Ok(())
}

/// Two messages for one order, at the same moment: one of them places it.
#[mmate::test]
async fn of_two_orders_with_one_id_one_is_placed(app: TestApp) -> Result {
    let (first, second) = tokio::join!(
        app.ask(order("tok_visa", &[("mug", 1)])),
        app.ask(order("tok_visa", &[("tea", 9)])),
    );
    let codes = [first, second].map(|answer| answer.err().map(|error| error.code().to_owned()));
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 1, "{codes:?}");
    assert!(codes.contains(&Some("ORDER_EXISTS".to_owned())), "{codes:?}");
    assert_eq!(placed(&app).await.fate, Fate::Completed);
    assert_eq!(charged(&app).0, 1);
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
    assert_eq!((charged(&app).0, left(&app, "mug")), (1, 1_499));
    app.published::<OrderPlaced>().one();
    Ok(())
}

#[mmate::test]
async fn messages_of_stages_that_come_twice_change_nothing(app: TestApp) -> Result {
    let twice = |stage| app.duplicate(&format!("stageflow.order-processing.stage{stage}"));
    let twice: Vec<_> = (0..7).map(twice).collect();
    app.send(order("tok_visa", &[("mug", 1)])).await?;
    assert_eq!(placed(&app).await.fate, Fate::Completed);
    assert!(twice.iter().all(|fault| fault.hits() == 1));
    let books = books(&app);
    assert_eq!((charged(&app).0, left(&app, "mug"), books.parcels.shipped("7")), (1, 1_499, 1));
    app.published::<OrderCompleted>().one();
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

fn failed() -> Fate {
    Fate::Failed { stage: "ship".to_owned(), reason: "the van broke down".to_owned() }
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
                Fate::Failed { .. } => 2,
                Fate::Repeated => 3,
                Fate::Parked { .. } => 4,
                Fate::TurnedAway { .. } => 5,
                Fate::Stuck { .. } | Fate::Underway => 6,
            };
            *kinds.entry(kind).or_default() += lines;
            kinds
        });
    assert_eq!(kinds, BTreeMap::from([(0, 183), (1, 13), (2, 42), (3, 7), (4, 14), (5, 6)]));
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
    check(|outcome| outcome.lines[0].1 = vec![failed()], "line 1 has failed as Some((\"ship\"");
    check(|outcome| outcome.endings.clear(), "is completed, and the events say []");
    check(
        |outcome| {
            outcome.orders.values_mut().for_each(|order| order.undone.clear());
        },
        "the card was declined, and [] is undone",
    );
    check(
        |outcome| {
            let again = outcome.books.accounts.charges[0].clone();
            outcome.books.accounts.charges.push(again);
        },
        "was charged 2 times",
    );
    check(|outcome| outcome.books.accounts.charges.clear(), "0 was paid, due is ");
    check(|outcome| outcome.books.accounts.refunds.clear(), "was paid, due is 0");
    check(|outcome| outcome.books.shelves.reservations.clear(), "and None is set aside");
    check(|outcome| outcome.books.parcels = Parcels::default(), "and 0 parcels are on their way");
    check(
        |outcome| {
            outcome.books.shelves.left.insert("tea".to_owned(), 0);
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
            states.values_mut().for_each(|state| *state = "undoing".to_owned());
        },
        "is Some(\"undoing\") by HTTP, expected Some(\"completed\")",
    );
}
