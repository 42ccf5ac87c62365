//! A TCP proxy before the broker, which can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::broker;

pub(super) struct Proxy {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::new(AtomicBool::new(true)),
            cuts: watch::Sender::new(0),
        };
        let (open, cuts) = (Arc::clone(&proxy.open), proxy.cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if open.load(Ordering::SeqCst) {
                    tokio::spawn(forward(client, cuts.subscribe()));
                }
            }
        });
        proxy
    }

    /// The broker's URL, through the proxy.
    pub(super) fn url(&self) -> String {
        broker::url().replace(&broker::address(), &self.address.to_string())
    }

    /// Ends all connections and takes no more.
    pub(super) fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all connections; new ones may come at once.
    pub(super) fn kick(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Takes connections again.
    pub(super) fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

async fn forward(mut client: TcpStream, mut cuts: watch::Receiver<u64>) {
    let Ok(mut server) = TcpStream::connect(broker::address()).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
}
