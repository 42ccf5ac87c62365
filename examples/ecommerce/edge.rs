//! The shop's HTTP edge, in the same process: it knows the services as any of them knows the others.
//!
//! ```text
//! POST /api/orders        PlaceOrder  -> 201 OrderAccepted, with a Location
//! GET  /api/orders/{id}   FindOrder   -> 200 OrderStatus
//! ```
//!
//! Every "no" is a problem: 400 breaks the contract, 404 and 422 are the orders service's own, 503 and 504 are
//! about the moment. An `Idempotency-Key` makes asking again safe, `Prefer: wait=2` says how long the client waits.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::time::Duration;

use mmate::http::axum::extract::{FromRequestParts, Path};
use mmate::http::axum::http::request::Parts;
use mmate::http::axum::http::{StatusCode, header};
use mmate::http::axum::response::IntoResponse;
use mmate::http::axum::routing::{get, post};
use mmate::http::axum::{Json, Router};
use mmate::http::{IdempotencyKey, Payload, Problem};
use mmate::prelude::*;

use crate::contracts::{FindOrder, OrderStatus, PlaceOrder};

/// How long a client waits at most, whatever it prefers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The routes of the shop.
pub fn routes(bridge: &Bridge) -> Router {
    Router::new()
        .route("/api/orders", post(place_order))
        .route("/api/orders/{order_id}", get(show_order))
        .with_state(bridge.clone())
}

async fn place_order(
    bridge: Bridge,
    key: IdempotencyKey,
    Patience(timeout): Patience,
    Payload(order): Payload<PlaceOrder>,
) -> Result<impl IntoResponse, Problem> {
    let accepted = key.on(bridge.ask(order)).timeout(timeout).await?;
    let location = format!("/api/orders/{}", accepted.order_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(accepted)))
}

async fn show_order(
    bridge: Bridge,
    Path(order_id): Path<String>,
) -> Result<Json<OrderStatus>, Problem> {
    let found = bridge.ask(FindOrder { order_id }).timeout(PATIENCE).await;
    found.map(Json).map_err(|error| {
        let is_unknown = error.code() == "UNKNOWN_ORDER";
        let problem = Problem::from(error);
        if is_unknown { problem.with_status(StatusCode::NOT_FOUND) } else { problem }
    })
}

/// How long the client waits: `Prefer: wait=2` (RFC 7240), in whole seconds.
struct Patience(Duration);

impl<S: Sync> FromRequestParts<S> for Patience {
    /// A preference that is not understood is none.
    type Rejection = Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Infallible>> + Send {
        let prefer = parts.headers.get("prefer").and_then(|value| value.to_str().ok());
        let wait = prefer.and_then(|prefer| prefer.trim().strip_prefix("wait=")?.parse().ok());
        let wait = wait.filter(|seconds| *seconds > 0).map_or(PATIENCE, Duration::from_secs);
        ready(Ok(Self(wait.min(PATIENCE))))
    }
}
