//! Free loopback ports that stay free while a server is down.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Socket, Type};

use super::scratch::random_u64;

/// First port handed out.
const PORT_MIN: u32 = 20_000;
/// How many ports the range has. It ends below the ephemeral range of Linux (32768) and macOS.
///
/// A port that the kernel picks (bind to port 0) would be ephemeral. While a killed server is
/// down, any outgoing connection may then take its port, even a client's attempt to reconnect,
/// which on loopback can connect to itself; the server could not start again.
const PORT_COUNT: u32 = 12_000;

/// Counts through the range from a random place, so that neighbours in this process never get
/// the same port and neighbours in other processes rarely try it.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    // Zero means not yet seeded; losing this race only means that the other seed is used.
    let seed = u32::try_from(random_u64() % u64::from(PORT_COUNT)).unwrap_or(0) + 1;
    let _ = NEXT.compare_exchange(0, seed, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..PORT_COUNT {
        let candidate = PORT_MIN + NEXT.fetch_add(1, Ordering::Relaxed) % PORT_COUNT;
        if let Ok(port) = u16::try_from(candidate)
            && is_free(port)
        {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "failed to find a free loopback port between 20000 and 31999: stop some servers",
    ))
}

/// Whether nobody listens on this loopback port.
///
/// It is bound and never listened on. A program that another thread starts in this moment holds
/// a copy of the socket until it has begun; a copy that listens would keep the port after we gave
/// it back, and whoever was told that it is free could not have it.
pub(crate) fn is_free(port: u16) -> bool {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // As servers do: what is left of earlier connections of the port does not count.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
    };
    bind().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn ports_are_distinct_and_outside_the_ephemeral_range() {
        let mut ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (20_000..32_000).contains(port)));
    }

    #[test]
    fn a_port_that_is_listened_on_is_not_free() {
        for listens in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let listener = TcpListener::bind((listens, free_port().unwrap())).unwrap();
            assert!(!is_free(listener.local_addr().unwrap().port()), "{listens}");
        }
    }

    #[test]
    fn a_port_that_was_free_can_be_had_while_programs_start() {
        let started = std::thread::spawn(|| {
            let program = std::env::current_exe().unwrap();
            for _ in 0..100 {
                // It lists no test: none has this name.
                let mut program = Command::new(&program);
                let listed = program.args(["--list", "--exact", "no such test"]);
                assert!(listed.stdout(Stdio::null()).status().unwrap().success());
            }
        });
        // A quarter of the range: what another test has been told is not offered again meanwhile.
        let mut tries = 0..PORT_COUNT / 4;
        while tries.next().is_some() && !started.is_finished() {
            TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).unwrap();
        }
        started.join().unwrap();
    }
}
