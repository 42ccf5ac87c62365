//! The world at the other end of a connection: a server of one route, and its client.

use std::net::SocketAddr;

use mmate::http::axum::extract::State as ServerState;
use mmate::http::axum::routing::post;
use mmate::http::axum::{Json, Router};
use mmate::prelude::Result;

use super::{Answer, Request, World};
use crate::browser;

/// The routes of the world.
pub fn routes(world: World) -> Router {
    Router::new().route("/", post(answer)).with_state(world)
}

async fn answer(
    ServerState(world): ServerState<World>,
    Json(request): Json<Request>,
) -> Json<Answer> {
    // A world that goes on although nobody listens any more: a shop that is killed while it waits.
    let doing = tokio::spawn(async move { world.answer(request).await });
    match doing.await {
        Ok(Some(answer)) => Json(answer),
        _ => std::future::pending().await,
    }
}

/// Asks the world. An error may be one of the way there, or of the way back.
pub(super) async fn ask(address: SocketAddr, request: &Request) -> Result<Answer> {
    let body = serde_json::to_string(request)?;
    let answer = browser::send(address, browser::post_json("/", body)?).await?;
    Ok(serde_json::from_value(answer.body)?)
}
