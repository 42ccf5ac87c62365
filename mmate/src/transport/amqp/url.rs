//! Broker URLs: read without surprises, shown without secrets.

use lapin::uri::{AMQPScheme, AMQPUri};

use crate::transport::{TransportError, TransportErrorKind};

/// The longest virtual host that AMQP can carry, in bytes.
const VHOST_BYTES_MAX: usize = 255;

/// A broker's URL for people: user and password masked, the query left out. A list of URLs stays one.
///
/// ```
/// use mmate::transport::amqp::redacted_url;
///
/// let shown = redacted_url("amqp://alice:secret@broker.example/orders?heartbeat=5");
/// assert_eq!(shown, "amqp://***:***@broker.example:5672/orders");
/// ```
#[must_use]
pub fn redacted_url(url: &str) -> String {
    each_url(url).map(redacted).collect::<Vec<_>>().join(",")
}

fn redacted(url: &str) -> String {
    match parse(url) {
        Ok(uri) => format!(
            "{}://***:***@{}:{}/{}",
            uri.scheme, uri.authority.host, uri.authority.port, uri.vhost
        ),
        // Whatever cannot be read may have its password anywhere.
        Err(_) => "<not a broker URL>".to_owned(),
    }
}

/// The URLs of a list with commas between them. A comma is legal in a password, so only one before a
/// scheme separates.
pub(super) fn each_url(urls: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(urls);
    std::iter::from_fn(move || {
        let text = rest?;
        let comma = text.match_indices(',').map(|(at, _)| at).find(|at| {
            let next = text[at + 1..].trim_start();
            next.starts_with("amqp://") || next.starts_with("amqps://")
        });
        rest = comma.map(|at| &text[at + 1..]);
        Some(comma.map_or(text, |at| &text[..at]).trim())
    })
}

/// Reads a URL. The error repeats nothing of it.
pub(super) fn parse(url: &str) -> Result<AMQPUri, TransportError> {
    let Some(("amqp" | "amqps", rest)) = url.split_once("://") else {
        return Err(invalid("it does not start with `amqp://` or `amqps://`"));
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(authority_end);
    if after.contains('@') {
        // Such a password would be taken for a host or a virtual host, and be shown.
        return Err(invalid(
            "`@`, `/`, `?` and `#` in a password or path must be percent-encoded (%40, %2F, %3F, %23)",
        ));
    }
    // The parser's own error may repeat the whole URL, so it is not kept.
    let mut uri: AMQPUri =
        url.parse().map_err(|_| invalid("its host, port or query cannot be read"))?;
    let host_and_port = authority.rsplit('@').next().unwrap_or(authority);
    if let Some((address, _)) =
        host_and_port.strip_prefix('[').and_then(|bracketed| bracketed.split_once(']'))
    {
        // The parser takes a bracketed IPv6 address for no host at all.
        uri.authority.host = address.to_owned();
    } else if host_and_port.is_empty() || host_and_port.starts_with(':') {
        return Err(invalid("it names no host"));
    }
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    if uri.vhost.len() > VHOST_BYTES_MAX {
        return Err(invalid("its virtual host has more than 255 bytes"));
    }
    Ok(uri)
}

/// The value of a key in the URL's query, percent-decoded.
pub(super) fn query(url: &str, key: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| percent_decode(value))
}

/// True for `amqps://`.
pub(super) fn is_tls(uri: &AMQPUri) -> bool {
    uri.scheme == AMQPScheme::AMQPS
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn invalid(why: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::Invalid,
        format!(
            "the broker's URL is not valid: {why}; it looks like `amqp://user:password@host:5672/vhost`, or several such with commas between them"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_ports_and_virtual_hosts() {
        for (url, host, port, vhost) in [
            ("amqp://localhost", "localhost", 5672, "/"),
            ("amqp://localhost/", "localhost", 5672, "/"),
            ("amqp://localhost/%2f", "localhost", 5672, "/"),
            ("amqps://u:p@broker/orders", "broker", 5671, "orders"),
            ("amqp://u:p%40x@127.0.0.1:5690/a%2Fb?heartbeat=4", "127.0.0.1", 5690, "a/b"),
            ("amqp://[::1]:5690/v", "::1", 5690, "v"),
        ] {
            let uri = parse(url).unwrap();
            assert_eq!(uri.authority.host, host, "{url}");
            assert_eq!(uri.authority.port, port, "{url}");
            assert_eq!(uri.vhost, vhost, "{url}");
        }
    }

    #[test]
    fn a_broken_url_is_refused_and_not_repeated() {
        for url in [
            "http://user:s3cret@host",
            "s3cret",
            "amqp://user:s3cret/x@host",
            "amqp://user:12?s3cret@host",
            "amqp://user:s3cret@:5672",
            "amqp://user:s3cret@host:port",
        ] {
            let error = parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
            assert_eq!(redacted_url(url), "<not a broker URL>");
        }
    }

    #[test]
    fn a_list_of_urls_is_read_and_shown_as_one() {
        let urls = "amqp://u:pa,ss@a:1/v, amqps://u:s3cret@b/v";
        assert_eq!(
            each_url(urls).collect::<Vec<_>>(),
            ["amqp://u:pa,ss@a:1/v", "amqps://u:s3cret@b/v"]
        );
        assert_eq!(redacted_url(urls), "amqp://***:***@a:1/v,amqps://***:***@b:5671/v");
        assert_eq!(each_url("memory://").count(), 1);
    }

    #[test]
    fn reads_files_from_the_query() {
        let url = "amqps://host/v?cacertfile=%2Fetc%2Fca%20x.pem&heartbeat=4";
        assert_eq!(query(url, "cacertfile").as_deref(), Some("/etc/ca x.pem"));
        assert_eq!(query(url, "heartbeat").as_deref(), Some("4"));
        assert_eq!(query(url, "certfile"), None);
    }
}
