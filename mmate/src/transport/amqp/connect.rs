//! One attempt to reach the broker: name, TCP, TLS, login. It ends within the connect timeout.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};

use super::config::AmqpConfig;
use super::failure::{cause, code, codes};
use super::url::{is_tls, parse, query};
use crate::transport::{TransportError, TransportErrorKind};

/// A connection that is logged in.
pub(super) struct Established {
    pub(super) connection: Connection,
    /// Host and port that it leads to.
    pub(super) place: Arc<str>,
    /// The virtual host.
    pub(super) vhost: Arc<str>,
    /// Which of the URL's brokers that is, see [`Brokers`](super::failover::Brokers).
    pub(super) at: usize,
}

/// Everything that an attempt needs, read and checked once.
pub(super) struct Target {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    connect_timeout: Duration,
    app_name: String,
}

/// How far an attempt came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Tcp = 0,
    Tls = 1,
    Login = 2,
}

/// What an attempt leaves behind: how far it came, and a second handle of its socket until it is
/// done.
#[derive(Default)]
struct Trace {
    step: AtomicU8,
    abandoned: AtomicBool,
    socket: Mutex<Option<std::net::TcpStream>>,
}

/// Shuts the socket of an attempt that is given up. Without it, the library's thread would wait for
/// a silent port for ever.
struct Ends<'a>(&'a Trace);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Release);
        if let Some(socket) = self.0.socket().take() {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Target {
    /// Reads the URL of one broker and the TLS files.
    pub(super) fn new(url: &str, config: &AmqpConfig) -> Result<Self, TransportError> {
        let mut uri = parse(url)?;
        if is_tls(&uri) && !cfg!(feature = "amqp-rustls") {
            return Err(TransportError::new(
                TransportErrorKind::Tls,
                "the broker's URL asks for TLS (`amqps://`), which this build leaves out: turn on mmate's feature `amqp-rustls`",
            ));
        }
        let heartbeat = u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(heartbeat);
        uri.query.frame_max.get_or_insert(config.frame_bytes_max);
        let connect_timeout =
            uri.query.connection_timeout.map_or(config.connect_timeout, Duration::from_millis);
        let tls = if is_tls(&uri) { tls_config(url, config)? } else { OwnedTLSConfig::default() };
        Ok(Self { uri, tls, connect_timeout, app_name: config.app_name.clone() })
    }

    /// Host and port, for people.
    pub(super) fn place(&self) -> String {
        let (host, port) = (&self.uri.authority.host, self.uri.authority.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The virtual host.
    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// How long an attempt may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Connects and logs in. `role` stands behind the connection's name.
    pub(super) async fn establish(&self, role: &str) -> Result<Connection, TransportError> {
        let trace = Arc::new(Trace::default());
        let ends = Ends(&trace);
        let attempt = self.attempt(role, Arc::clone(&trace));
        match tokio::time::timeout(self.connect_timeout, attempt).await {
            Ok(Ok(connection)) => {
                trace.socket().take();
                Ok(connection)
            }
            Ok(Err(error)) => Err(self.refused(&error, trace.step())),
            Err(_) => Err(self.silent(ends.0.step())),
        }
    }

    async fn attempt(&self, role: &str, trace: Arc<Trace>) -> lapin::Result<Connection> {
        let (tls, limit) = (self.tls.clone(), self.connect_timeout);
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {role}", self.app_name).into())
            .with_client_property("product".into(), "mmate".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        Connection::connector(
            self.uri.clone(),
            lapin::runtime::default_runtime()?,
            // Runs on the library's thread, which nobody ends from outside: hence its own limit.
            async move |uri, runtime| {
                let dial = async {
                    let mut stream = Err(io::Error::other("the host's name has no address"));
                    for address in resolve(&uri).await? {
                        stream = AsyncTcpStream::connect(&runtime, address).await;
                        if stream.is_ok() {
                            break;
                        }
                    }
                    let stream = stream?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        trace.keep(plain.get_ref())?;
                    }
                    if !is_tls(&uri) {
                        trace.reach(Step::Login);
                        return Ok::<_, io::Error>(stream);
                    }
                    trace.reach(Step::Tls);
                    let stream = stream.into_tls(&uri.authority.host, tls.as_ref()).await?;
                    trace.reach(Step::Login);
                    Ok(stream)
                };
                let dialled = tokio::time::timeout(limit, dial).await;
                dialled
                    .unwrap_or_else(|late| Err(io::Error::from(late)))
                    .map_err(lapin::Error::from)
            },
            properties,
        )
        .await
    }

    /// The error of an attempt that got an answer.
    fn refused(&self, error: &lapin::Error, step: Step) -> TransportError {
        use TransportErrorKind as Kind;
        let (place, vhost, cause) = (self.place(), &self.uri.vhost, cause(error));
        let user = &self.uri.authority.userinfo.username;
        let (kind, text) = match (step, code(error)) {
            (Step::Login, Some(codes::ACCESS_REFUSED)) => (
                Kind::Credentials,
                format!(
                    "RabbitMQ at {place} refused the login of user `{user}`: {cause}; check user and password in the broker's URL"
                ),
            ),
            (Step::Login, Some(codes::NOT_ALLOWED)) => (
                Kind::VirtualHost,
                format!(
                    "RabbitMQ at {place} refused the virtual host `{vhost}`: {cause}; check the URL's path, or create the virtual host and give user `{user}` rights on it"
                ),
            ),
            (Step::Login, Some(_)) => {
                (Kind::Other, format!("RabbitMQ at {place} refused the connection: {cause}"))
            }
            (Step::Login, None) => (
                Kind::Unreachable,
                format!(
                    "{place} ended the connection during the login: {cause}; is it RabbitMQ's AMQP port (usually 5672), and `amqps://` where it speaks TLS (usually 5671)?"
                ),
            ),
            (Step::Tls, _) => (
                Kind::Tls,
                format!(
                    "failed to set up TLS with {place}: {cause}; is it a TLS port (usually 5671), and is its certificate issued for this host by an authority that this machine, or `tls_ca_file`, trusts?"
                ),
            ),
            (Step::Tcp, _) => (
                Kind::Unreachable,
                format!(
                    "RabbitMQ at {place} cannot be reached: {cause}; check host and port, and that the broker runs"
                ),
            ),
        };
        TransportError::new(kind, text).with_source(error.clone())
    }

    /// The error of an attempt that got no answer in time.
    fn silent(&self, step: Step) -> TransportError {
        let (place, limit) = (self.place(), self.connect_timeout);
        match step {
            Step::Tcp => TransportError::new(
                TransportErrorKind::Unreachable,
                format!(
                    "RabbitMQ at {place} cannot be reached: no answer within {limit:?}; check host, port and firewalls"
                ),
            ),
            Step::Tls => TransportError::new(
                TransportErrorKind::Tls,
                format!(
                    "{place} took the connection but no TLS handshake within {limit:?}; is it a TLS port (usually 5671)?"
                ),
            ),
            Step::Login => TransportError::new(
                TransportErrorKind::Timeout,
                format!(
                    "{place} took the connection but did not answer as RabbitMQ within {limit:?}; is it RabbitMQ's AMQP port (usually 5672), and does the broker keep up?"
                ),
            ),
        }
    }
}

impl Trace {
    fn step(&self) -> Step {
        match self.step.load(Ordering::Acquire) {
            0 => Step::Tcp,
            1 => Step::Tls,
            _ => Step::Login,
        }
    }

    fn reach(&self, step: Step) {
        self.step.store(step as u8, Ordering::Release);
    }

    /// Keeps a second handle of the socket; refuses to go on with an attempt that was given up.
    fn keep(&self, stream: &tokio::net::TcpStream) -> io::Result<()> {
        #[cfg(unix)]
        let copy = std::os::fd::AsFd::as_fd(stream).try_clone_to_owned()?;
        #[cfg(windows)]
        let copy = std::os::windows::io::AsSocket::as_socket(stream).try_clone_to_owned()?;
        let mut socket = self.socket();
        if self.abandoned.load(Ordering::Acquire) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *socket = Some(copy.into());
        Ok(())
    }

    fn socket(&self) -> MutexGuard<'_, Option<std::net::TcpStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn resolve(uri: &AMQPUri) -> io::Result<Vec<SocketAddr>> {
    let addresses =
        tokio::net::lookup_host((uri.authority.host.as_str(), uri.authority.port)).await?;
    Ok(addresses.collect())
}

fn tls_config(url: &str, config: &AmqpConfig) -> Result<OwnedTLSConfig, TransportError> {
    let file = |field: &Option<PathBuf>, key: &str| {
        field.clone().or_else(|| query(url, key).map(PathBuf::from))
    };
    let cert_chain = match file(&config.tls_ca_file, "cacertfile") {
        Some(path) => Some(
            String::from_utf8(read(&path)?)
                .map_err(|_| tls_error(&format!("{} is not PEM", path.display())))?,
        ),
        None => None,
    };
    let certificate = file(&config.tls_certificate_file, "certfile");
    let key = file(&config.tls_key_file, "keyfile");
    let identity = match (&config.tls_identity_file, certificate, key) {
        (Some(path), ..) => Some(OwnedIdentity::PKCS12 {
            der: read(path)?,
            password: config.tls_identity_password.clone(),
        }),
        (None, Some(certificate), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: read(&certificate)?, key: read(&key)? })
        }
        (None, None, None) => None,
        _ => {
            return Err(tls_error(
                "a client certificate needs both `tls_certificate_file` and `tls_key_file`",
            ));
        }
    };
    Ok(OwnedTLSConfig { identity, cert_chain })
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|error| {
        tls_error(&format!("{} cannot be read: {error}", path.display())).with_source(error)
    })
}

fn tls_error(why: &str) -> TransportError {
    TransportError::new(TransportErrorKind::Tls, format!("failed to set up TLS: {why}"))
}
