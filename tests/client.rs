//! An HTTP client of the size that tests need: one connection per request.

use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use mmate::http::axum::body::{Body, to_bytes};
use mmate::http::axum::http::header::{CONTENT_TYPE, HOST};
use mmate::http::axum::http::{HeaderMap, Request};
use serde_json::Value;
use tokio::net::TcpStream;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The JSON body, or null.
    pub body: Value,
}

impl Answer {
    /// A header's text, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Status and `code` of a problem; asserts that it is one.
    ///
    /// # Panics
    /// If it is none, or says another status in its body.
    #[must_use]
    pub fn problem(&self) -> (u16, &str) {
        let (media, body) = (self.header("content-type"), &self.body);
        assert_eq!(media, Some("application/problem+json"), "{self:?}");
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["type"].is_string() && body["title"].is_string(), "{self:?}");
        (self.status, body["code"].as_str().expect("a problem has a code"))
    }
}

/// A request with a JSON body.
///
/// # Panics
/// If the path is none.
pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json");
    request.body(body.into()).expect("a request")
}

/// A request without a body.
///
/// # Panics
/// If the path is none.
#[must_use]
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

/// Sends a request on a connection of its own.
///
/// # Errors
/// The connection is refused, reset, or closed before the answer is complete.
///
/// # Panics
/// If the address cannot be written into a header.
pub async fn send(address: SocketAddr, mut request: Request<Body>) -> io::Result<Answer> {
    let host = address.to_string().parse().expect("an address is a header value");
    request.headers_mut().insert(HOST, host);
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let handshake = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (parts, body) = response.into_parts();
    let body = to_bytes(Body::new(body), ANSWER_BYTES_MAX).await.map_err(io::Error::other)?;
    connection.abort();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}
