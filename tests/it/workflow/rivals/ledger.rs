//! The ledger of what is done in the world, kept by the process that judges, and the way to it from others.
//!
//! A connection begins with a line that says what it is for: `orders`, which is handed on, or `deeds`. On the latter each line
//! names something that is done, and is answered with a number once it is written down. The calls of a connection that
//! ends, in whatever way, are no longer under way.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::super::world::{Deed, Far, World};

/// A connection on which orders are given.
pub(super) type Orders = BufStream<tokio::net::TcpStream>;

/// Its connections end when it is dropped.
pub(super) struct Ledger {
    pub(super) address: SocketAddr,
    pub(super) orders: Receiver<Orders>,
    _accepting: JoinSet<()>,
}

impl Ledger {
    pub(super) async fn open(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, orders) = channel(1);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, world.clone(), sender));
        Self { address, orders, _accepting: accepting }
    }
}

async fn accept(listener: TcpListener, world: World, orders: Sender<Orders>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (world, orders) = (world.clone(), orders.clone());
        open.spawn(async move {
            let mut stream = BufStream::new(stream);
            match next_line(&mut stream).await.as_deref() {
                Some("orders") => drop(orders.send(stream).await),
                // A process that is killed cuts its connection in the middle of whatever it does.
                Some("deeds") => drop(keep(&mut stream, &world).await),
                other => panic!("a connection begins with {other:?}"),
            }
        });
    }
}

/// The next line; nothing once the connection has ended.
pub(super) async fn next_line(stream: &mut Orders) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        // Half a line is none.
        Ok(_) if line.ends_with('\n') => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

async fn keep(stream: &mut Orders, world: &World) -> io::Result<()> {
    let mut inside = HashMap::new();
    while let Some(line) = next_line(stream).await {
        let (verb, key) = line.split_once(' ').unwrap_or((&line, ""));
        let calls = match verb {
            "enter" => {
                let (call, calls) = world.enter(key);
                inside.insert(key.to_owned(), call);
                calls
            }
            "leave" => {
                inside.remove(key);
                0
            }
            "apply" => world.act(Deed::Apply, key),
            "undo" => world.act(Deed::Undo, key),
            _ => panic!("nobody can `{line}`"),
        };
        stream.write_all(format!("{calls}\n").as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The way to the ledger, for all stages of a process.
#[derive(Debug)]
pub(super) struct Way(Mutex<BufReader<TcpStream>>);

impl Way {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        (&stream).write_all(b"deeds\n").unwrap();
        Self(Mutex::new(BufReader::new(stream)))
    }
}

impl Far for Way {
    fn act(&self, deed: Deed, key: &str) -> u32 {
        let verb = match deed {
            Deed::Enter => "enter",
            Deed::Leave => "leave",
            Deed::Apply => "apply",
            Deed::Undo => "undo",
        };
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        let told = stream.get_ref().write_all(format!("{verb} {key}\n").as_bytes());
        match told.and_then(|()| stream.read_line(&mut answer)) {
            Ok(1..) => answer.trim_end().parse().unwrap(),
            // The ledger is closed: nobody judges any more what is done.
            _ => 0,
        }
    }
}
