//! A TCP proxy before the broker, which can be cut, silenced and slowed down, and which can put words
//! into the client's mouth.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::broker;

pub(crate) struct Proxy {
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
    /// Goes up with each frame that is to be slipped in.
    slips: u64,
    slip: Slip,
}

/// What the broker is told in the client's name, on each channel that consumes. It answers by closing
/// the channel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slip {
    /// An ack of a delivery that never was: `406 PRECONDITION_FAILED`.
    UnknownTag,
    /// A question about a queue that is not there: `404 NOT_FOUND`.
    MissingQueue,
}

impl Slip {
    fn frame(self, channel: u16) -> Vec<u8> {
        let payload = match self {
            Self::UnknownTag => [&[0, 60, 0, 80][..], &9_999_999_u64.to_be_bytes(), &[0]].concat(),
            Self::MissingQueue => {
                [&[0, 50, 0, 10, 0, 0, 7][..], b"missing", &[1, 0, 0, 0, 0]].concat()
            }
        };
        let size = u32::try_from(payload.len()).unwrap();
        [&[1][..], &channel.to_be_bytes(), &size.to_be_bytes(), &payload, &[0xce]].concat()
    }
}

impl Proxy {
    /// A proxy before the broker of the tests.
    pub(crate) async fn start() -> Self {
        Self::before(broker::address()).await
    }

    /// A proxy before a broker.
    pub(crate) async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fair = Weather {
            open: true,
            cuts: 0,
            delay: Some(Duration::ZERO),
            listens: true,
            slips: 0,
            slip: Slip::UnknownTag,
        };
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
    pub(crate) fn url(&self) -> String {
        broker::url().replace(&broker::address(), &self.address.to_string())
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends all connections and takes no more.
    pub(crate) fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.open = false;
            weather.cuts += 1;
        });
    }

    /// Ends all connections; new ones may come at once.
    pub(crate) fn kick(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Takes connections, and forwards everything at once.
    pub(crate) fn mend(&self) {
        self.weather.send_modify(|weather| {
            weather.open = true;
            weather.delay = Some(Duration::ZERO);
            weather.listens = true;
        });
    }

    /// Forwards nothing in either direction and closes nothing, as a firewall that forgot the
    /// connection does: half-open TCP.
    pub(crate) fn silence(&self) {
        self.weather.send_modify(|weather| {
            weather.delay = None;
            weather.listens = false;
        });
    }

    /// Makes the broker close every channel that consumes.
    pub(crate) fn slip_in(&self, slip: Slip) {
        self.weather.send_modify(|weather| {
            weather.slips += 1;
            weather.slip = slip;
        });
    }

    /// Holds back whatever the broker says.
    pub(crate) fn slow_down(&self, delay: Duration) {
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
    let heard = listen(from_client, to_server, weather.clone());
    let said = say(from_server, to_client, weather.clone());
    tokio::select! {
        () = heard => {}
        () = said => {}
        _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

/// Forwards what the broker says, each piece after the delay of the moment it came.
async fn say(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let wait = match weather.wait_for(|weather| weather.delay.is_some()).await {
            Ok(weather) => weather.delay.unwrap_or_default(),
            Err(_) => return,
        };
        tokio::time::sleep(wait).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Forwards what the client says in whole frames, so that others can be slipped in between them.
async fn listen(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut frames = Frames::default();
    let mut slips = weather.borrow().slips;
    loop {
        let ready = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count @ 1..) => frames.take(&buffer[..count]),
                _ => return,
            },
            changed = weather.wait_for(|weather| weather.slips != slips) => match changed {
                Ok(weather) => {
                    slips = weather.slips;
                    let slip = weather.slip;
                    frames.consuming.iter().flat_map(|channel| slip.frame(*channel)).collect()
                }
                Err(_) => return,
            },
        };
        if weather.wait_for(|weather| weather.listens).await.is_err()
            || to.write_all(&ready).await.is_err()
        {
            return;
        }
    }
}

/// Cuts the client's bytes into frames, and sees on which channels it consumes.
#[derive(Default)]
struct Frames {
    pending: Vec<u8>,
    greeted: bool,
    consuming: BTreeSet<u16>,
}

impl Frames {
    /// The whole frames that there are with these bytes.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let mut end = 0;
        while let Some(length) = self.next_length(end)
            && self.pending.len() >= end + length
        {
            if self.greeted {
                self.note(end);
            }
            self.greeted = true;
            end += length;
        }
        self.pending.drain(..end).collect()
    }

    /// The first thing is the eight bytes of the protocol header.
    fn next_length(&self, at: usize) -> Option<usize> {
        if !self.greeted {
            return Some(8);
        }
        let size = self.pending.get(at + 3..at + 7)?;
        Some(8 + u32::from_be_bytes(size.try_into().unwrap()) as usize)
    }

    fn note(&mut self, at: usize) {
        let frame = &self.pending[at..];
        let channel = u16::from_be_bytes([frame[1], frame[2]]);
        match frame {
            // A method: `basic.consume`, `channel.close`, `channel.close-ok`.
            [1, _, _, _, _, _, _, 0, 60, 0, 20, ..] => drop(self.consuming.insert(channel)),
            [1, _, _, _, _, _, _, 0, 20, 0, 40 | 41, ..] => drop(self.consuming.remove(&channel)),
            _ => {}
        }
    }
}
