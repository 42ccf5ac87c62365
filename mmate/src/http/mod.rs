//! An HTTP edge in the process of the service: small pieces around [`axum`], each usable alone.
//!
//! In: HTTP requests. Out: questions over the bridge, and their answers as HTTP says them. Programs call
//! this room; it calls `contract`, `bridge` and `runtime`. Routes, middleware and state are axum's own.
//!
//! - [`Payload`] takes a JSON body as a message, checked as a consumer checks it.
//! - [`Problem`] is every "no", as `application/problem+json`; `?` makes one of an [`AskError`](crate::bridge::AskError).
//! - [`IdempotencyKey`] lets a client ask again without asking twice.
//! - [`health`] has the endpoints that an orchestrator asks.
//! - [`serve`] stops edge and app together, in the order in which nothing is cut off.
//!
//! [`Bridge`](crate::bridge::Bridge) and [`Publisher`](crate::publish::Publisher) are parameters of a route as they
//! are of a handler, wherever the router's state holds them.
//!
//! ```no_run
//! use mmate::http::axum::http::StatusCode;
//! use mmate::http::axum::{Json, Router, routing::post};
//! use mmate::http::{self, IdempotencyKey, Payload, Problem};
//! use mmate::prelude::*;
//!
//! #[message(command, service = "orders", reply = Accepted)]
//! struct PlaceOrder {
//!     customer: String,
//! }
//!
//! #[message(reply)]
//! struct Accepted {
//!     order_id: String,
//! }
//!
//! async fn place_order(
//!     bridge: Bridge,
//!     key: IdempotencyKey,
//!     Payload(order): Payload<PlaceOrder>,
//! ) -> Result<(StatusCode, Json<Accepted>), Problem> {
//!     let accepted = key.on(bridge.ask(order)).timeout("5s").await?;
//!     Ok((StatusCode::CREATED, Json(accepted)))
//! }
//!
//! #[mmate::main]
//! async fn main() -> Result {
//!     let Some(running) = App::builder().registered().launch().await? else { return Ok(()) };
//!     let routes = Router::new()
//!         .route("/orders", post(place_order))
//!         .merge(http::health(&running))
//!         .with_state(running.bridge().clone());
//!     let listener = http::bind("0.0.0.0:8080").await?;
//!     http::serve(running, listener, routes).await;
//!     Ok(())
//! }
//! ```
//!
//! # Tests
//!
//! A router is called without a socket by tower's `oneshot`, and works with the bridge of a `TestApp`, on its virtual
//! clock: `routes.with_state(app.bridge().clone()).oneshot(request)`.
//!
//! # What it is not
//!
//! A front line: TLS, slow clients and the number of connections are the business of the proxy before it.

mod edge;
mod extract;
mod health;
mod mapping;
mod payload;
mod problem;

pub use axum;
pub use edge::{Edge, bind, serve, serve_until};
pub use extract::IdempotencyKey;
pub use health::health;
pub use payload::Payload;
pub use problem::Problem;
