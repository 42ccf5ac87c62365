//! Whether a server lets clients in.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;
/// How the server's answer to a client begins whom it lets in, or asks for a password.
const AUTHENTICATION: u8 = b'R';

/// Whether a PostgreSQL on this loopback port greets a client. One that is still starting accepts connections and
/// refuses clients, so the port alone does not tell.
#[must_use]
pub(super) fn answers(port: u16, user: &str) -> bool {
    greet(port, user).is_ok_and(|answer| answer == AUTHENTICATION)
}

fn greet(port: u16, user: &str) -> std::io::Result<u8> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&hello(user))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer[0])
}

fn hello(user: &str) -> Vec<u8> {
    let fields = format!("user\0{user}\0database\0postgres\0\0");
    let length = u32::try_from(fields.len() + 8).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend(VERSION.to_be_bytes());
    message.extend(fields.bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_its_length_first() {
        let message = hello("me");
        assert_eq!(usize::from(message[3]), message.len());
        assert_eq!(&message[4..8], [0, 3, 0, 0]);
        assert!(message.ends_with(b"user\0me\0database\0postgres\0\0"));
    }

    #[test]
    fn nobody_answers_where_nobody_listens() {
        assert!(!answers(crate::servers::ports::free_port().unwrap(), "me"));
    }
}
