//! Edge and app stop together: nobody is cut off who was let in.

use std::io::ErrorKind;
use std::time::Duration;

use mmate_tests::client::{self, send};
use mmate_tests::{Backend, eventually, on_every_transport};
use tokio::net::TcpStream;

use super::{Service, asks};

/// Nobody has to wait for it: whoever is to be seen at work meanwhile ends the wait.
const LONG: Duration = Duration::from_secs(15);

async fn a_request_in_flight_gets_its_answer_when_the_process_stops(backend: Backend) {
    let service = Service::start(backend).await;
    let address = service.address;
    let ready = service.get("/health/ready").await;
    assert_eq!((ready.status, ready.header("cache-control")), (200, Some("no-store")));
    let in_flight = tokio::spawn(async move { send(address, asks(8, "gate")).await });
    service.probe.wait_for(1).await;
    let Service { stop, edge, gate, .. } = service;
    stop.send(()).unwrap();
    eventually("the listener is closed", || async {
        TcpStream::connect(address).await.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    assert!(!edge.is_finished(), "it waits for the request");
    gate.add_permits(1);
    let answer = in_flight.await.unwrap().expect("an answer, not a reset");
    assert_eq!((answer.status, &answer.body["number"]), (201, &4.into()));
    assert!(edge.await.unwrap().drained);
}

async fn readiness_says_that_it_stops_while_requests_are_still_accepted(backend: Backend) {
    let service =
        Service::start_with(backend, |builder| builder, |edge| edge.linger(LONG / 10)).await;
    let address = service.address;
    service.stop.send(()).unwrap();
    eventually("readiness says no", || async {
        let ready = send(address, client::get("/health/ready")).await.expect("it is served");
        ready.status == 503 && ready.body["reasons"][0] == "asked to stop"
    })
    .await;
    assert_eq!(send(address, client::get("/health/live")).await.expect("it is served").status, 200);
    assert_eq!(send(address, asks(6, "well")).await.expect("it is served").status, 201);
    assert!(service.edge.await.unwrap().drained);
}

/// Browsers open connections that they do not use, and keep those that they have used.
async fn idle_connections_do_not_hold_up_the_stop(backend: Backend) {
    let service = Service::start(backend).await;
    let unused = TcpStream::connect(service.address).await.unwrap();
    assert_eq!(service.halve(2, "well").await.status, 201);
    let report = tokio::time::timeout(LONG, service.stop()).await.expect("it does not wait");
    assert!(report.drained && report.took < LONG, "{report}");
    drop(unused);
}

/// `shutdown.drain` is over and the handler still works: whoever waits is told, not cut off.
async fn a_request_that_outlasts_the_drain_is_told_so(backend: Backend) {
    let short = |builder: mmate::runtime::AppBuilder| builder.config("shutdown.drain", "200ms");
    let service = Service::start_with(backend, short, |edge| edge).await;
    let address = service.address;
    let in_flight = tokio::spawn(async move { send(address, asks(8, "gate")).await });
    service.probe.wait_for(1).await;
    let report = service.stop().await;
    assert!(!report.drained, "{report}");
    let answer = in_flight.await.unwrap().expect("an answer, not a reset");
    assert_eq!(answer.problem(), (504, "UNKNOWN"));
    assert!(answer.body["details"]["requestId"].is_string(), "{answer:?}");
}

async fn a_stopped_app_is_not_ready_and_takes_nothing(backend: Backend) {
    let broker = backend.broker().await;
    let service = broker.service(&mmate_tests::unique("http")).await.publish_only();
    let running = service.start().await.expect("the service boots");
    let (routes, watch) = (Service::routes(&running), running.health_watch());
    let listener = mmate::http::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let edge = tokio::spawn(async { mmate::http::axum::serve(listener, routes).await });
    assert!(watch.health().ready, "{}", watch.health());
    running.stop().await;
    assert!(watch.health().stopping && !watch.health().ready);
    let answer = send(address, asks(2, "well")).await.unwrap();
    assert_eq!(answer.problem(), (503, "NOT_SENT"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    let ready = send(address, client::get("/health/ready")).await.unwrap();
    assert_eq!((ready.status, &ready.body["status"]), (503, &"not ready".into()));
    edge.abort();
}

on_every_transport! {
    a_request_in_flight_gets_its_answer_when_the_process_stops
    readiness_says_that_it_stops_while_requests_are_still_accepted
    idle_connections_do_not_hold_up_the_stop
    a_request_that_outlasts_the_drain_is_told_so
    a_stopped_app_is_not_ready_and_takes_nothing
}
