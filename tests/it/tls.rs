//! TLS against a real node with an authority of our own.

use std::fs;
use std::path::{Path, PathBuf};

use mmate::prelude::*;
use mmate::transport::TransportErrorKind;
use mmate_tests::{Probe, unique};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use xtask::servers::{RabbitNode, StartOptions, TlsFiles};

#[message(command)]
struct Seal {}

#[handler]
async fn seal(_message: Seal, probe: State<Probe>) {
    probe.note("sealed");
}

/// An authority and a server certificate for `localhost`, as PEM files.
fn certificates(folder: &Path) -> TlsFiles {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    TlsFiles {
        authority: write("authority.pem", authority.pem()),
        certificate: write("server.pem", server.pem()),
        key: write("server-key.pem", key.serialize_pem()),
    }
}

#[tokio::test]
async fn a_trusted_broker_is_used_and_an_unknown_one_is_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("tls"));
    fs::create_dir_all(&folder).unwrap();
    let files = certificates(&folder);
    let authority = files.authority.display().to_string();
    let options = StartOptions { tls: Some(files), ..StartOptions::default() };
    let node =
        tokio::task::spawn_blocking(move || RabbitNode::start(&options)).await.unwrap().unwrap();
    let url = node.amqps_url().expect("the node has a TLS listener");

    let probe = Probe::default();
    let builder = || {
        App::builder()
            .name("tls")
            .handler::<seal>()
            .provide(probe.clone())
            .config("url", url.as_str())
    };
    let running = builder()
        .config("tls.ca_file", authority.as_str())
        .start()
        .await
        .expect("the authority is trusted");
    running.publisher().send(Seal {}).await.expect("taken");
    assert_eq!(probe.wait_for(1).await, ["sealed"]);
    running.stop().await;

    let error = builder().start().await.expect_err("nobody vouches for the certificate");
    let mmate::Error::Transport(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error}");
    assert!(
        error.to_string().contains("tls_ca_file") && !error.to_string().contains("guest"),
        "{error}"
    );
    drop(node);
    fs::remove_dir_all(&folder).unwrap();
}
