//! The endpoints that an orchestrator asks.

use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{Router, get};
use serde_json::json;

use crate::runtime::{Health, Running};

/// An answer about this moment is of no use in the next.
const NO_STORE: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// Routes about the health of an app, to merge into a router of any state.
///
/// - `GET /health/live`: 200 as long as the process answers at all. It says nothing about the broker: a restart
///   of this process would not bring that back.
/// - `GET /health/ready`: 200 while the app is ready ([`Running::health`]), else 503 with a list of `reasons`,
///   which name queues and connections and so are for the inside of your network.
///
/// ```
/// # use mmate::http::{self, axum::Router};
/// # use mmate::runtime::Running;
/// # fn example(running: &Running) -> Router {
/// Router::new().merge(http::health(running))
/// # }
/// ```
pub fn health<S: Clone + Send + Sync + 'static>(running: &Running) -> Router<S> {
    let watch = running.health_watch();
    let ready = move || std::future::ready(report(&watch.health()));
    Router::new()
        .route("/health/live", get(|| async { ([NO_STORE], Json(json!({"status": "live"}))) }))
        .route("/health/ready", get(ready))
}

fn report(health: &Health) -> Response {
    if health.ready {
        return ([NO_STORE], Json(json!({"status": "ready"}))).into_response();
    }
    let body = json!({"status": "not ready", "reasons": health.reasons()});
    (StatusCode::SERVICE_UNAVAILABLE, [NO_STORE], Json(body)).into_response()
}
