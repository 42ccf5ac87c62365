//! A TCP proxy before the broker, which can be cut, silenced and slowed down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::broker;

pub(super) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    connections: Arc<AtomicUsize>,
}

/// What happens to the bytes. All connections see the same.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Whether new connections are taken.
    open: bool,
    /// Goes up whenever all connections end.
    cuts: u64,
    /// How long what the broker says is held back; nothing means for ever.
    delay: Option<Duration>,
    /// Whether what the client says is forwarded.
    listens: bool,
}

impl Proxy {
    /// A proxy before the broker of the tests.
    pub(super) async fn start() -> Self {
        Self::before(broker::address()).await
    }

    /// A proxy before a broker.
    pub(super) async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fair = Weather { open: true, cuts: 0, delay: Some(Duration::ZERO), listens: true };
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            weather: watch::Sender::new(fair),
            connections: Arc::default(),
        };
        let (weather, connections) = (proxy.weather.clone(), Arc::clone(&proxy.connections));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if weather.borrow().open {
                    let (target, weather) = (target.clone(), weather.subscribe());
                    let counted = Counted::new(&connections);
                    tokio::spawn(async move {
                        let _counted = counted;
                        forward(client, &target, weather).await;
                    });
                }
            }
        });
        proxy
    }

    /// The broker's URL, through the proxy.
    pub(super) fn url(&self) -> String {
        broker::url().replace(&broker::address(), &self.address.to_string())
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends all connections and takes no more.
    pub(super) fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.open = false;
            weather.cuts += 1;
        });
    }

    /// Ends all connections; new ones may come at once.
    pub(super) fn kick(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Takes connections, and forwards everything at once.
    pub(super) fn mend(&self) {
        self.weather.send_modify(|weather| {
            weather.open = true;
            weather.delay = Some(Duration::ZERO);
            weather.listens = true;
        });
    }

    /// Forwards nothing in either direction and closes nothing, as a firewall that forgot the
    /// connection does: half-open TCP.
    #[expect(dead_code, reason = "soon")]
    pub(super) fn silence(&self) {
        self.weather.send_modify(|weather| {
            weather.delay = None;
            weather.listens = false;
        });
    }

    /// Holds back whatever the broker says.
    #[expect(dead_code, reason = "soon")]
    pub(super) fn slow_down(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = Some(delay));
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn forward(client: TcpStream, target: &str, mut weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let cuts = weather.borrow_and_update().cuts;
    let heard = pump(from_client, to_server, weather.clone(), |weather| {
        weather.listens.then_some(Duration::ZERO)
    });
    let said = pump(from_server, to_client, weather.clone(), |weather| weather.delay);
    tokio::select! {
        () = heard => {}
        () = said => {}
        _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

/// Copies until either side ends, each piece after the delay of the moment it came.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    delay: impl Fn(&Weather) -> Option<Duration>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let wait = match weather.wait_for(|weather| delay(weather).is_some()).await {
            Ok(weather) => delay(&weather).unwrap_or_default(),
            Err(_) => return,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
