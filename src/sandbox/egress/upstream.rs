//! The operator's own proxy, for networks where nothing else leads outside.

use crate::domain::egress::HostName;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// The longest head of an answer that is read.
const MAX_ANSWER: usize = 8 * 1024;

/// A proxy that is asked by `CONNECT` for everything but the server's own services, plain HTTP included.
#[derive(Debug, Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<SecretString>,
}

/// An upstream as it travels to another process of this server. No `Debug`: it may hold a password.
#[derive(Serialize, Deserialize)]
pub struct OpenUpstream {
    host: String,
    port: u16,
    authorization: Option<String>,
}

impl From<&Upstream> for OpenUpstream {
    fn from(upstream: &Upstream) -> Self {
        let authorization = upstream.authorization.as_ref().map(|secret| secret.expose_secret().to_owned());
        Self { host: upstream.host.clone(), port: upstream.port, authorization }
    }
}

impl From<OpenUpstream> for Upstream {
    fn from(OpenUpstream { host, port, authorization }: OpenUpstream) -> Self {
        Self { host, port, authorization: authorization.map(SecretString::from) }
    }
}

/// The address of a proxy is not understood. It is not shown, for it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    #[error("the proxy's address is not a URL like `http://proxy.example.com:3128`")]
    NotAUrl,
    #[error("only a proxy that is reached by `http://` can be used")]
    Scheme,
    #[error("the user or password in the proxy's address is not percent-encoded text")]
    Password,
}

impl Upstream {
    /// Reads what an operator has in `HTTPS_PROXY`: `http://[user:password@]host[:port]`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(address: &str) -> Result<Self, InvalidUpstream> {
        // Many write only host and port.
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = Url::parse(&address).map_err(|_| InvalidUpstream::NotAUrl)?;
        if url.scheme() != "http" {
            return Err(InvalidUpstream::Scheme);
        }
        let host = url.host_str().ok_or(InvalidUpstream::NotAUrl)?.trim_matches(['[', ']']).to_owned();
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let plain = format!("{}:{}", decoded(user)?, decoded(password.unwrap_or_default())?);
                Some(format!("Basic {}", BASE64_STANDARD.encode(plain)).into())
            }
        };
        Ok(Self { host, port: url.port().unwrap_or(80), authorization })
    }

    /// A connection through it.
    pub(super) async fn tunnel(&self, host: &HostName, port: u16) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(authorization) = &self.authorization {
            head.push_str("Proxy-Authorization: ");
            head.push_str(authorization.expose_secret());
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        // Byte by byte, for what follows the head belongs to the tunnel already.
        let mut answer = Vec::with_capacity(256);
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
            }
            answer.push(stream.read_u8().await?);
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let read = response.parse(&answer);
        match (read, response.code) {
            (Ok(_), Some(200..=299)) => Ok(stream),
            (Ok(_), Some(code)) => Err(io::Error::other(format!("it answered {code}"))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is not HTTP")),
        }
    }
}

/// Percent-decoded, without line ends that would add to the head of a request.
fn decoded(text: &str) -> Result<String, InvalidUpstream> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            bytes.extend(hex::decode(digits).map_err(|_| InvalidUpstream::Password)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| InvalidUpstream::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_as_curl_reads_it() {
        for (address, host, port, authorization) in [
            ("http://proxy.example.com:3128", "proxy.example.com", 3128, None),
            ("http://proxy.example.com/", "proxy.example.com", 80, None),
            ("proxy.example.com:3128", "proxy.example.com", 3128, None),
            ("http://[::1]:3128", "::1", 3128, None),
            ("http://me:p%40ss@proxy:3128", "proxy", 3128, Some("Basic bWU6cEBzcw==")),
        ] {
            let upstream = Upstream::parse(address).unwrap();
            let shown = upstream.authorization.as_ref().map(|text| text.expose_secret());
            assert_eq!((upstream.host.as_str(), upstream.port, shown), (host, port, authorization), "{address}");
        }
    }

    #[test]
    fn what_is_no_such_address_is_refused_and_a_password_is_never_shown() {
        for (address, error) in [
            ("", InvalidUpstream::NotAUrl),
            ("http://", InvalidUpstream::NotAUrl),
            ("https://proxy:443", InvalidUpstream::Scheme),
            ("socks5://proxy:1080", InvalidUpstream::Scheme),
            ("http://me:%ff@proxy", InvalidUpstream::Password),
            ("http://me:%zz@proxy", InvalidUpstream::Password),
        ] {
            assert_eq!(Upstream::parse(address).unwrap_err(), error, "{address}");
        }
        let shown = format!("{:?}", Upstream::parse("http://me:hunter2@proxy:3128").unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains(&BASE64_STANDARD.encode("me:hunter2")), "{shown}");
    }
}
