//! What a person reads who got the connection wrong.

use std::error::Error;
use std::time::{Duration, Instant};

use mmate::transport::amqp::{AmqpConfig, AmqpTransport};
use mmate::transport::{Transport, TransportErrorKind};
use tokio::net::TcpListener;

use super::broker::{address, connect, url_with};

const SECRET: &str = "t0p-s3cret";

/// Connects to what does not work; the error comes soon, of this kind, and without the password.
async fn refused(url: String, kind: TransportErrorKind, words: &[&str]) {
    let mut config = AmqpConfig::new(url);
    config.connect_timeout = Duration::from_secs(2);
    let start = Instant::now();
    let error = AmqpTransport::connect(config).await.expect_err("it cannot work");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is missing in: {error}");
    }
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(SECRET), "{text}");
        cause = error.source();
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_as_such() {
    let address = address();
    let url = url_with(&format!("guest:{SECRET}@{address}"), "");
    refused(url, TransportErrorKind::Credentials, &[&address, "`guest`", "password"]).await;
}

#[tokio::test]
async fn a_missing_virtual_host_is_named() {
    let url = url_with(&format!("guest:guest@{}", address()), "no-such-vhost");
    refused(url, TransportErrorKind::VirtualHost, &["`no-such-vhost`"]).await;
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let (_refusing, closed) = mmate_tests::refusing_port();
    let url = url_with(&format!("guest:{SECRET}@{closed}"), "");
    refused(url, TransportErrorKind::Unreachable, &[&closed.to_string(), "refused"]).await;
}

#[tokio::test]
async fn a_host_without_an_address_is_unreachable() {
    let url = url_with(&format!("guest:{SECRET}@no-such-host.invalid:5672"), "");
    refused(url, TransportErrorKind::Unreachable, &["no-such-host.invalid:5672"]).await;
}

#[tokio::test]
async fn a_silent_port_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let url = url_with(&format!("guest:{SECRET}@{silent}"), "");
    refused(url, TransportErrorKind::Timeout, &[&silent, "5672"]).await;
}

#[tokio::test]
async fn a_silent_port_asked_for_tls_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let url = format!("amqps://guest:{SECRET}@{silent}/");
    refused(url, TransportErrorKind::Tls, &[&silent, "5671"]).await;
}

#[tokio::test]
async fn tls_to_a_plain_port_is_a_tls_error() {
    let address = address();
    let url = format!("amqps://guest:{SECRET}@{address}/");
    refused(url, TransportErrorKind::Tls, &[&address, "5671"]).await;
}

#[tokio::test]
async fn a_port_that_hangs_up_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket)
        }
    });
    let url = url_with(&format!("guest:{SECRET}@{rude}"), "");
    refused(url, TransportErrorKind::Unreachable, &[&rude]).await;
}

#[tokio::test]
async fn a_closed_transport_refuses_everything() {
    let transport = connect().await;
    transport.close().await;
    let error = transport.queue_stats("any").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Closed);
    let error = transport.publish(super::broker::message("any", "id")).await.unwrap_err();
    assert_eq!(error.kind(), mmate::transport::PublishErrorKind::Closed);
    assert!(transport.state().publish_down.is_some());
}
