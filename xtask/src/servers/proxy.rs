//! A TCP proxy before an AMQP broker that understands frames, so that a fault happens at a chosen step of
//! the protocol and not at a chosen time.
//!
//! Nothing is changed on its way: frames pass, wait, or are lost with the connection. What a broker refuses
//! is refused by the broker itself: [`FaultProxy::misbehave`] makes it close a channel by asking for nonsense
//! in the client's name.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::process::lock;

const PROTOCOL_HEADER_LEN: usize = 8;
/// Type, channel, size.
const FRAME_HEADER_LEN: usize = 7;
const FRAME_END: u8 = 0xCE;
const METHOD_FRAME: u8 = 1;
/// How long one look for the end of a stall takes.
const LOOK: Duration = Duration::from_millis(20);
/// Larger frames are not AMQP.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A method of AMQP: class and method number.
pub type Method = (u16, u16);

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client of the broker.
    Client,
    /// The broker.
    Broker,
}

/// The frame at which something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Who sends the frame.
    pub sender: Sender,
    /// The method.
    pub method: Method,
    /// How exchange and routing key begin, for publishes.
    pub address: Option<(&'static str, &'static str)>,
    /// How many such frames pass before.
    pub skip: u32,
}

impl Moment {
    /// The next frame with this method.
    #[must_use]
    pub const fn of(sender: Sender, method: Method) -> Self {
        Self { sender, method, address: None, skip: 0 }
    }

    fn is(&self, sender: Sender, frame: &Frame) -> bool {
        self.sender == sender
            && frame.method() == Some(self.method)
            && self.address.is_none_or(|(exchange, key)| {
                frame.address().is_some_and(|(to, with)| {
                    to.starts_with(exchange.as_bytes()) && with.starts_with(key.as_bytes())
                })
            })
    }
}

/// What happens at a moment, once.
pub enum Action {
    /// The connection ends on both sides; the frame is lost.
    Reset,
    /// The frame and everything behind it wait.
    Delay(Duration),
    /// Something is done, then the connection ends and the frame is lost.
    Do(Box<dyn FnOnce() + Send>),
    /// The frame passes, and the next action waits for its moment.
    Then(Moment, Box<Action>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "Reset",
            Self::Delay(_) => "Delay",
            Self::Do(_) => "Do",
            Self::Then(..) => "Then",
        })
    }
}

/// What the broker is asked for in the client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonsense {
    /// A queue that does not exist: the broker closes the channel with 404.
    MissingQueue,
    /// The acknowledgement of a delivery that never was: the broker closes the channel with 406.
    UnknownDelivery,
}

/// The proxy. Dropping it ends all connections through it.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    links: Mutex<Vec<Arc<Link>>>,
    armed: Mutex<Option<(Moment, Action)>>,
    fired: Condvar,
    stalled: AtomicBool,
    closed: AtomicBool,
}

/// One connection: both sockets, and what passed that matters later.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    broker: TcpStream,
    /// Kept while a whole frame is written, so that nothing gets in between.
    to_broker: Mutex<()>,
    /// The channels on which a consumer was asked for.
    consumer_channels: Mutex<BTreeSet<u16>>,
    ended: AtomicBool,
}

impl FaultProxy {
    /// A proxy before the broker on this loopback port.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start(broker_port: u16) -> io::Result<Self> {
        // Not an ephemeral port: see `ports`.
        let port = super::ports::free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let shared = Arc::new(Shared {
            broker: SocketAddr::from((Ipv4Addr::LOCALHOST, broker_port)),
            links: Mutex::default(),
            armed: Mutex::default(),
            fired: Condvar::new(),
            stalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { port, shared })
    }

    /// Where clients connect, with a heartbeat so short that a test can wait for its absence.
    #[must_use]
    pub fn amqp_url(&self, heartbeat_seconds: u16) -> String {
        let port = self.port;
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f?heartbeat={heartbeat_seconds}")
    }

    /// Ends all connections; new ones may come at once.
    pub fn reset(&self) {
        for link in lock(&self.shared.links).drain(..) {
            link.end();
        }
    }

    /// Stops to forward, and keeps connections open: neither side hears of the other (half-open).
    pub fn stall(&self) {
        self.shared.stalled.store(true, Ordering::SeqCst);
    }

    /// Forwards again, what waited included.
    pub fn go_on(&self) {
        self.shared.stalled.store(false, Ordering::SeqCst);
    }

    /// Arms an action, in place of one that was armed before.
    pub fn at(&self, moment: Moment, action: Action) {
        *lock(&self.shared.armed) = Some((moment, action));
    }

    /// Waits until the armed action has begun. Gives false, and disarms, if the moment did not come.
    #[must_use]
    pub fn wait_for_moment(&self, timeout: Duration) -> bool {
        let armed = lock(&self.shared.armed);
        let waited = self.shared.fired.wait_timeout_while(armed, timeout, |armed| armed.is_some());
        match waited {
            Ok((mut armed, _)) => armed.take().is_none(),
            Err(_) => false,
        }
    }

    /// Asks the broker for nonsense on every channel with a consumer. Gives how many.
    ///
    /// # Errors
    ///
    /// When a connection is gone already.
    pub fn misbehave(&self, nonsense: Nonsense) -> io::Result<usize> {
        let mut asked = 0;
        for link in lock(&self.shared.links).iter() {
            if link.ended.load(Ordering::SeqCst) {
                continue;
            }
            // Its next consumer gets a channel of its own.
            for channel in std::mem::take(&mut *lock(&link.consumer_channels)) {
                let _whole = lock(&link.to_broker);
                (&link.broker).write_all(&nonsense.frame(channel))?;
                asked += 1;
            }
        }
        Ok(asked)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.reset();
        // Wakes the thread that accepts.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Nonsense {
    fn frame(self, channel: u16) -> Vec<u8> {
        let mut payload = Vec::new();
        match self {
            Self::MissingQueue => {
                payload.extend([0, 50, 0, 10, 0, 0]);
                let name = b"mmate.no-such-queue";
                payload.push(u8::try_from(name.len()).unwrap_or(0));
                payload.extend(name);
                // Passive; then an empty table of arguments.
                payload.extend([1, 0, 0, 0, 0]);
            }
            Self::UnknownDelivery => {
                payload.extend([0, 60, 0, 80]);
                payload.extend(u64::from(u32::MAX).to_be_bytes());
                payload.push(0);
            }
        }
        let mut frame = vec![METHOD_FRAME];
        frame.extend(channel.to_be_bytes());
        frame.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
        frame.extend(payload);
        frame.push(FRAME_END);
        frame
    }
}

impl Link {
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        // Either may be closed already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        // A broker that is down refuses; so does the proxy then, by closing.
        let Ok(link) = connect(client, shared.broker) else { continue };
        lock(&shared.links).push(Arc::clone(&link));
        for sender in [Sender::Client, Sender::Broker] {
            let (link, shared) = (Arc::clone(&link), Arc::clone(shared));
            thread::spawn(move || {
                // However it ends, both sides hear of it.
                let _ = pump(sender, &link, &shared);
                link.end();
            });
        }
    }
}

fn connect(client: TcpStream, broker: SocketAddr) -> io::Result<Arc<Link>> {
    let broker = TcpStream::connect(broker)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    Ok(Arc::new(Link {
        client,
        broker,
        to_broker: Mutex::new(()),
        consumer_channels: Mutex::default(),
        ended: AtomicBool::new(false),
    }))
}

fn pump(sender: Sender, link: &Link, shared: &Shared) -> io::Result<()> {
    let (mut from, mut to) = match sender {
        Sender::Client => (&link.client, &link.broker),
        Sender::Broker => (&link.broker, &link.client),
    };
    if sender == Sender::Client {
        let mut header = [0; PROTOCOL_HEADER_LEN];
        from.read_exact(&mut header)?;
        to.write_all(&header)?;
    }
    let mut frame = Frame::default();
    loop {
        frame.read(&mut from)?;
        if let Some(action) = shared.due(sender, &frame) {
            match action {
                Action::Reset => return Ok(()),
                Action::Delay(delay) => wait(delay, link),
                // The next action is armed already.
                Action::Then(..) => {}
                Action::Do(work) => {
                    work();
                    return Ok(());
                }
            }
        }
        while shared.stalled.load(Ordering::SeqCst) && !link.ended.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
        }
        if sender == Sender::Client && frame.method() == Some(methods::CONSUME) {
            lock(&link.consumer_channels).insert(frame.channel());
        }
        let _whole = (sender == Sender::Client).then(|| lock(&link.to_broker));
        to.write_all(&frame.bytes)?;
    }
}

fn wait(delay: Duration, link: &Link) {
    let until = Instant::now() + delay;
    while Instant::now() < until && !link.ended.load(Ordering::SeqCst) {
        thread::sleep(LOOK);
    }
}

impl Shared {
    /// The armed action, if this is its moment.
    fn due(&self, sender: Sender, frame: &Frame) -> Option<Action> {
        let mut armed = lock(&self.armed);
        let (moment, _) = armed.as_mut().filter(|(moment, _)| moment.is(sender, frame))?;
        if moment.skip > 0 {
            moment.skip -= 1;
            return None;
        }
        let (_, action) = armed.take()?;
        if let Action::Then(moment, next) = action {
            *armed = Some((moment, *next));
            return None;
        }
        self.fired.notify_all();
        Some(action)
    }
}

/// One frame as it travels.
#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn read(&mut self, from: &mut impl Read) -> io::Result<()> {
        self.bytes.resize(FRAME_HEADER_LEN, 0);
        from.read_exact(&mut self.bytes)?;
        let size = self.bytes[3..FRAME_HEADER_LEN].iter().fold(0, |n, b| n * 256 + usize::from(*b));
        if size > FRAME_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        self.bytes.resize(FRAME_HEADER_LEN + size + 1, 0);
        from.read_exact(&mut self.bytes[FRAME_HEADER_LEN..])
    }

    fn number(&self, at: usize) -> Option<u16> {
        let pair = self.bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([pair[0], pair[1]]))
    }

    fn channel(&self) -> u16 {
        self.number(1).unwrap_or(0)
    }

    fn method(&self) -> Option<Method> {
        let is_method = self.bytes.first() == Some(&METHOD_FRAME);
        let at = FRAME_HEADER_LEN;
        is_method.then(|| Some((self.number(at)?, self.number(at + 2)?))).flatten()
    }

    /// Exchange and routing key of a publish: behind class, method and a reserved number.
    fn address(&self) -> Option<(&[u8], &[u8])> {
        if self.method() != Some(methods::PUBLISH) {
            return None;
        }
        let text = |at: usize| {
            let len = usize::from(*self.bytes.get(at)?);
            self.bytes.get(at + 1..at + 1 + len)
        };
        let exchange_at = FRAME_HEADER_LEN + 6;
        let exchange = text(exchange_at)?;
        Some((exchange, text(exchange_at + 1 + exchange.len())?))
    }
}

/// The methods at which something can go wrong.
pub mod methods {
    use super::Method;

    /// The broker greets.
    pub const START: Method = (10, 10);
    /// The client logs in.
    pub const START_OK: Method = (10, 11);
    /// The broker proposes limits.
    pub const TUNE: Method = (10, 30);
    /// The client takes them.
    pub const TUNE_OK: Method = (10, 31);
    /// The client chooses a virtual host.
    pub const OPEN: Method = (10, 40);
    /// The connection is open.
    pub const OPEN_OK: Method = (10, 41);
    /// A channel is opened.
    pub const CHANNEL_OPEN: Method = (20, 10);
    /// A channel is open.
    pub const CHANNEL_OPEN_OK: Method = (20, 11);
    /// A queue is declared.
    pub const QUEUE_DECLARE: Method = (50, 10);
    /// A queue is there.
    pub const QUEUE_DECLARE_OK: Method = (50, 11);
    /// A queue is bound.
    pub const QUEUE_BIND: Method = (50, 20);
    /// Confirms are asked for.
    pub const CONFIRM_SELECT: Method = (85, 10);
    /// Confirms will come.
    pub const CONFIRM_SELECT_OK: Method = (85, 11);
    /// The prefetch is set.
    pub const QOS: Method = (60, 10);
    /// A consumer is asked for.
    pub const CONSUME: Method = (60, 20);
    /// A consumer is there.
    pub const CONSUME_OK: Method = (60, 21);
    /// A message is published.
    pub const PUBLISH: Method = (60, 40);
    /// A message is delivered.
    pub const DELIVER: Method = (60, 60);
    /// From a client: deliveries are done. From the broker: publishes are confirmed.
    pub const ACK: Method = (60, 80);
    /// A consumer is ended.
    pub const CANCEL: Method = (60, 30);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channel: u8, payload: &[u8]) -> Frame {
        let size = u8::try_from(payload.len()).unwrap();
        let mut bytes = vec![METHOD_FRAME, 0, channel, 0, 0, 0, size];
        bytes.extend(payload);
        bytes.push(FRAME_END);
        let mut frame = Frame::default();
        frame.read(&mut &bytes[..]).unwrap();
        assert_eq!(frame.bytes, bytes);
        frame
    }

    #[test]
    fn a_publish_shows_its_address() {
        let mut payload = vec![0, 60, 0, 40, 0, 0];
        payload.extend(b"\x03abc\x05dlq.x\0");
        let publish = frame(3, &payload);
        assert_eq!((publish.channel(), publish.method()), (3, Some(methods::PUBLISH)));
        assert_eq!(publish.address(), Some((&b"abc"[..], &b"dlq.x"[..])));
        let mut moment = Moment::of(Sender::Client, methods::PUBLISH);
        assert!(moment.is(Sender::Client, &publish) && !moment.is(Sender::Broker, &publish));
        moment.address = Some(("", "dlq."));
        assert!(moment.is(Sender::Client, &publish));
        moment.address = Some(("abcd", "dlq."));
        assert!(!moment.is(Sender::Client, &publish));
    }

    #[test]
    fn nonsense_is_a_whole_frame() {
        for (nonsense, method) in
            [(Nonsense::MissingQueue, (50, 10)), (Nonsense::UnknownDelivery, methods::ACK)]
        {
            let bytes = nonsense.frame(7);
            let mut read = Frame::default();
            read.read(&mut &bytes[..]).unwrap();
            assert_eq!((read.channel(), read.method()), (7, Some(method)));
            assert_eq!(read.bytes, bytes);
        }
    }

    #[test]
    fn a_moment_comes_once_and_after_those_that_are_skipped() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = FaultProxy::start(echo.local_addr().unwrap().port()).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap();
        let (mut broker, _) = echo.accept().unwrap();
        client.write_all(b"AMQP\0\0\x09\x01").unwrap();
        let ack = Nonsense::UnknownDelivery.frame(1);
        let moment = Moment { skip: 1, ..Moment::of(Sender::Client, methods::ACK) };
        proxy.at(moment, Action::Reset);
        client.write_all(&ack).unwrap();
        let mut passed = vec![0; PROTOCOL_HEADER_LEN + ack.len()];
        broker.read_exact(&mut passed).unwrap();
        client.write_all(&ack).unwrap();
        assert!(proxy.wait_for_moment(Duration::from_secs(10)));
        assert_eq!(broker.read(&mut passed).unwrap(), 0, "the second one is lost with the link");
        proxy.at(Moment::of(Sender::Client, methods::CANCEL), Action::Reset);
        assert!(!proxy.wait_for_moment(Duration::from_millis(1)));
    }
}
