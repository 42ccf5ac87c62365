//! Readiness as a client sees it: the node answers the AMQP protocol header.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A frozen node accepts connections (the kernel does) but never answers, so each step is bounded.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// Frame type (1 octet), channel (2), size (4), then class and method (2 each).
const FRAME_START_LEN: usize = 11;
const METHOD_FRAME: u8 = 1;
/// Class 10 (connection), method 10 (start).
const CONNECTION_START: [u8; 4] = [0, 10, 0, 10];

/// Whether an AMQP 0-9-1 server on this loopback port greets a client.
#[must_use]
pub fn answers_amqp(port: u16) -> bool {
    greeting(port).is_ok_and(|frame| is_connection_start(&frame))
}

fn greeting(port: u16) -> io::Result<[u8; FRAME_START_LEN]> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    stream.write_all(&PROTOCOL_HEADER)?;
    let mut frame = [0; FRAME_START_LEN];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn is_connection_start(frame: &[u8; FRAME_START_LEN]) -> bool {
    frame[0] == METHOD_FRAME && frame[7..] == CONNECTION_START
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_start_frame_is_a_greeting() {
        assert!(is_connection_start(&[1, 0, 0, 0, 0, 1, 200, 0, 10, 0, 10]));
        // A server that speaks another version answers with the header it would like.
        assert!(!is_connection_start(b"AMQP\0\x01\0\0AMQ"));
    }
}
