//! What HTTP answers, for every way in which an order can go; without a socket, on the virtual clock.

use mmate::http::axum::body::Body;
use mmate::http::axum::http::Request;
use mmate::http::axum::http::header::CONTENT_TYPE;
use mmate::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::{charged, order};
use crate::browser::{Answer, get, post_order};
use crate::contracts::{OrderCompleted, OrderPlaced, OrderRefused, PlaceOrder};
use crate::edge;
use crate::orders::CreditBureau;

async fn call(bridge: &Bridge, request: Request<Body>) -> Result<Answer> {
    let response = edge::routes(bridge).oneshot(request).await?;
    Answer::read(response).await
}

async fn post(app: &TestApp, order: &PlaceOrder) -> Result<Answer> {
    call(app.bridge(), post_order(serde_json::to_string(order)?, &order.order_id, None)?).await
}

/// An order of a customer whose credit is checked first.
fn on_credit(order_id: &str) -> PlaceOrder {
    let (order_id, customer_id) = (order_id.to_owned(), "charles".to_owned());
    PlaceOrder { order_id, customer_id, ..order("tok_visa", &[("mug", 1)]) }
}

#[mmate::test]
async fn an_accepted_order_is_created_and_found(app: TestApp) -> Result {
    let created = post(&app, &order("tok_visa", &[("tea", 2)])).await?;
    assert_eq!(created.short(), (201, None));
    assert_eq!(created.body, json!({"orderId": "7", "total": "9.80"}));
    app.settle().await;
    let location = created.location.expect("a place to look at");
    let found = call(app.bridge(), get(&location)?).await?;
    assert_eq!(found.body, json!({"orderId": "7", "state": "completed", "total": "9.80"}));
    let unknown = call(app.bridge(), get("/api/orders/8")?).await?;
    assert_eq!(unknown.short(), (404, Some("UNKNOWN_ORDER")));
    Ok(())
}

#[mmate::test]
async fn a_refusal_is_the_answer_and_the_event(app: TestApp) -> Result {
    for (order_id, customer, product, code) in [
        ("1", "mallory", "tea", "CUSTOMER_BLOCKED"),
        ("2", "eve", "tea", "UNKNOWN_CUSTOMER"),
        ("3", "ada", "unicorn", "UNKNOWN_PRODUCT"),
    ] {
        let (order_id, customer_id) = (order_id.to_owned(), customer.to_owned());
        let order = PlaceOrder { order_id, customer_id, ..order("tok_visa", &[(product, 1)]) };
        let refused = post(&app, &order).await?;
        assert_eq!(refused.short(), (422, Some(code)));
        app.settle().await;
        let event = app.published::<OrderRefused>().all().pop().map(|event| event.message);
        let event = event.expect("the others hear of it");
        assert_eq!(
            (&event.order_id, &refused.body["detail"]),
            (&order.order_id, &event.reason.into())
        );
    }
    Ok(())
}

/// Another request for the same order is refused; the same request again has the same answer.
#[mmate::test]
async fn an_order_is_placed_once(app: TestApp) -> Result {
    let order = order("tok_visa", &[("mug", 1)]);
    let body = serde_json::to_string(&order)?;
    let by = |key: &str| post_order(body.clone(), key, None);
    assert_eq!(call(app.bridge(), by("one")?).await?.status, 201);
    let repeated = call(app.bridge(), by("two")?).await?;
    assert_eq!(repeated.short(), (422, Some("ORDER_EXISTS")));
    assert_eq!(call(app.bridge(), by("one")?).await?.status, 201);
    app.settle().await;
    assert_eq!(charged(&app).0, 1);
    Ok(())
}

#[mmate::test]
async fn what_is_no_order_does_not_pass_the_edge(app: TestApp) -> Result {
    let empty = serde_json::to_string(&order("tok_visa", &[]))?;
    for (body, detail) in [
        ("two cups of tea".to_owned(), "the payload of `PlaceOrder` at line 1 column 2"),
        (json!({"orderId": "7"}).to_string(), "missing field `customerId`"),
        (empty, "`/items` the value has less than 1 item"),
    ] {
        let answer = call(app.bridge(), post_order(body, "key", None)?).await?;
        assert_eq!(answer.short(), (400, Some("INVALID_REQUEST")));
        assert!(answer.body["detail"].as_str().is_some_and(|it| it.contains(detail)), "{answer:?}");
    }
    let mut form = post_order("orderId=7".to_owned(), "key", None)?;
    form.headers_mut().insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse()?);
    assert_eq!(call(app.bridge(), form).await?.short(), (415, Some("INVALID_REQUEST")));
    app.settle().await;
    app.published::<PlaceOrder>().none();
    Ok(())
}

/// The client gives up, the order does not: asked again with the same key, it is the same order.
#[mmate::test]
async fn who_does_not_wait_asks_again_and_pays_once(app: TestApp) -> Result {
    let order = on_credit("7");
    let body = serde_json::to_string(&order)?;
    let late = call(app.bridge(), post_order(body.clone(), "key", Some(2))?).await?;
    assert_eq!(late.short(), (504, Some("TIMEOUT")));
    assert_eq!(late.body["details"]["requestId"], "key");
    app.state::<CreditBureau>().open();
    assert_eq!(call(app.bridge(), post_order(body, "key", None)?).await?.status, 201);
    app.settle().await;
    app.published::<OrderPlaced>().one();
    assert_eq!(charged(&app), (1, Decimal::new(8_75, 2)));
    Ok(())
}

#[mmate::test]
async fn one_too_many_is_told_when_to_come_again() -> Result {
    let app = TestApp::builder().registered().name("shop");
    let app = app.config("bridge.max_concurrent", 1).config("bridge.waiting_max", 0);
    let app = app.start().await?;
    let first = tokio::spawn({
        let (bridge, body) = (app.bridge().clone(), serde_json::to_string(&on_credit("1"))?);
        async move { call(&bridge, post_order(body, "first", None)?).await }
    });
    while app.bridge().pending() == 0 {
        tokio::task::yield_now().await;
    }
    let second = post(&app, &order("tok_visa", &[("mug", 1)])).await?;
    assert_eq!(second.short(), (503, Some("OVERLOADED")));
    assert_eq!(second.retry_after.as_deref(), Some("1"));
    app.state::<CreditBureau>().open();
    assert_eq!(first.await??.status, 201);
    assert_eq!(post(&app, &order("tok_visa", &[("mug", 1)])).await?.status, 201);
    app.settle().await;
    app.published::<OrderCompleted>().exactly(2);
    Ok(())
}
