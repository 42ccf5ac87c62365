//! An HTTP client of the size that the demo needs: one connection per request.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use mmate::http::axum::body::{Body, HttpBody, to_bytes};
use mmate::http::axum::http::header::{CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use mmate::http::axum::http::{HeaderName, Request, Response};
use mmate::http::axum::{Error, body::Bytes};
use mmate::prelude::*;
use serde_json::Value;
use tokio::net::TcpStream;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What HTTP answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub retry_after: Option<String>,
    /// JSON, or null.
    pub body: Value,
}

/// Answers by the line that was sent; who asks again is answered again.
pub type Answers = BTreeMap<String, Vec<Answer>>;

impl Answer {
    /// Reads a response to its end.
    pub async fn read<B>(response: Response<B>) -> Result<Self>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let (parts, body) = response.into_parts();
        let text = |name: HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (location, retry_after) = (text(LOCATION), text(RETRY_AFTER));
        let is_problem =
            text(CONTENT_TYPE).is_some_and(|media| media == "application/problem+json");
        let body: Result<Bytes, Error> = to_bytes(Body::new(body), ANSWER_BYTES_MAX).await;
        let body: Value = serde_json::from_slice(&body?).unwrap_or_default();
        let status = parts.status.as_u16();
        // Errors of this edge are problems, all of them.
        if is_problem != (status >= 400 && body["code"].is_string() && body["status"] == status) {
            return Err(HandlerError::msg(format!("{status} with a body of another kind: {body}")));
        }
        Ok(Self { status, location, retry_after, body })
    }

    /// The `code` of a problem.
    pub fn code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    /// Status and code.
    pub fn short(&self) -> (u16, Option<&str>) {
        (self.status, self.code())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        self.code().map_or(Ok(()), |code| write!(f, " {code}"))
    }
}

/// An order as a client posts it: its body, its key, and how many seconds it waits if it says so.
pub fn post_order(body: String, key: &str, wait: Option<u32>) -> Result<Request<Body>> {
    let mut request = Request::post("/api/orders").header(CONTENT_TYPE, "application/json");
    request = request.header("idempotency-key", key);
    if let Some(seconds) = wait {
        request = request.header("prefer", format!("wait={seconds}"));
    }
    Ok(request.body(Body::from(body))?)
}

/// Some JSON for a path.
pub fn post_json(path: &str, body: String) -> Result<Request<Body>> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    Ok(request.body(Body::from(body))?)
}

/// A question for something.
pub fn get(path: &str) -> Result<Request<Body>> {
    Ok(Request::get(path).body(Body::empty())?)
}

/// Sends a request on a connection of its own.
pub async fn send(address: SocketAddr, mut request: Request<Body>) -> Result<Answer> {
    request.headers_mut().insert(HOST, address.to_string().parse()?);
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let answer = Answer::read(sender.send_request(request).await?).await;
    connection.abort();
    answer
}
