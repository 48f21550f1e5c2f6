//! The head of a request to the proxy, read so that it can have one meaning only.
//!
//! A proxy and the server behind it must not read the same bytes differently: what is not plainly right is refused, and
//! what is passed on is written anew from what was understood, never copied.

use super::body::Framing;

/// The longest head that is read.
pub(super) const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// As it was written, which may be an address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) wish: Wish,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// `CONNECT`.
    Tunnel,
    /// A request with the whole URL in its first line.
    Forward(Forward),
}

/// A request to be passed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forward {
    method: String,
    pub(super) path_and_query: String,
    minor_version: u8,
    /// Without those that are for the proxy, and without those that are written anew.
    fields: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
}

/// Why a head is not understood; told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this proxy does not take the request: {0}")]
pub(super) struct BadHead(pub(super) &'static str);

/// Reads a head that is complete: it ends with an empty line.
pub(super) fn parse(head: &[u8]) -> Result<Request, BadHead> {
    let mut previous = b'\n';
    for (i, byte) in head.iter().enumerate() {
        let lone = (*byte == b'\n' && previous != b'\r') || (previous == b'\r' && *byte != b'\n');
        if lone || (i == 0 && matches!(byte, b'\r' | b'\n')) {
            return Err(BadHead("its lines must end with CR LF"));
        }
        previous = *byte;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead("it has too many header fields")),
        Ok(_) | Err(_) => return Err(BadHead("it is not HTTP/1.1")),
    }
    let (Some(method), Some(target), Some(minor_version)) = (request.method, request.path, request.version) else {
        return Err(BadHead("it is not HTTP/1.1"));
    };
    if !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') || method.len() > 32 {
        return Err(BadHead("its method is not one"));
    }
    if !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(BadHead("its URL has characters that no URL has"));
    }
    let fields = Fields(request.headers);
    let framing = fields.framing(minor_version)?;
    let named = fields.one("host")?.map(|host| std::str::from_utf8(host).unwrap_or("\0"));
    if named.is_none() && minor_version == 1 {
        return Err(BadHead("it has no Host"));
    }
    if method == "CONNECT" {
        let (host, port) = authority(target).ok_or(BadHead("CONNECT takes a host and a port"))?;
        let port = port.ok_or(BadHead("CONNECT takes a host and a port"))?;
        let agrees = |named: (&str, Option<u16>)| named.0.eq_ignore_ascii_case(host) && named.1.unwrap_or(port) == port;
        if named.is_some_and(|named| !authority(named).is_some_and(agrees)) {
            return Err(BadHead("its Host is another than the one that it asks for"));
        }
        if framing != Framing::Length(0) {
            return Err(BadHead("CONNECT has no body"));
        }
        return Ok(Request { host: host.to_owned(), port, wish: Wish::Tunnel });
    }
    let (host, port, path_and_query) = absolute(target)?;
    let agrees = |named: (&str, Option<u16>)| named.0.eq_ignore_ascii_case(host) && named.1.unwrap_or(80) == port;
    if named.is_some_and(|named| !authority(named).is_some_and(agrees)) {
        return Err(BadHead("its Host is another than the one in its URL"));
    }
    let forward =
        Forward { method: method.to_owned(), path_and_query, minor_version, fields: fields.passed_on(), framing };
    Ok(Request { host: host.to_owned(), port, wish: Wish::Forward(forward) })
}

impl Forward {
    /// The head for the server behind the proxy. The connection ends after the answer.
    pub(super) fn head(&self, host: &str, port: u16) -> Vec<u8> {
        let Self { method, path_and_query, minor_version, fields, framing } = self;
        let mut head = format!("{method} {path_and_query} HTTP/1.{minor_version}\r\nHost: {host}").into_bytes();
        if port != 80 {
            head.extend_from_slice(format!(":{port}").as_bytes());
        }
        head.extend_from_slice(b"\r\nConnection: close\r\n");
        for (name, value) in fields {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        match framing {
            Framing::Length(0) if matches!(method.as_str(), "GET" | "HEAD") => {}
            Framing::Length(length) => head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
            Framing::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// `host` and, if it is there, `:port`.
fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after_bracket..].rfind(':') {
        Some(at) => (&text[..after_bracket + at], Some(&text[after_bracket + at + 1..])),
        None => (text, None),
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    let sound = !host.is_empty() && !host.contains(['@', '/', '?', '#', '\\', '%']);
    sound.then_some((host, port))
}

/// Host, port, path and query of `http://host:port/path?query`.
fn absolute(target: &str) -> Result<(&str, u16, String), BadHead> {
    const HTTP: &str = "http://";
    let Some(rest) =
        target.get(..HTTP.len()).filter(|scheme| scheme.eq_ignore_ascii_case(HTTP)).map(|_| &target[HTTP.len()..])
    else {
        return Err(BadHead("a proxy takes a whole URL, `http://…`, or CONNECT"));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (named, path) = rest.split_at(end);
    let (host, port) = authority(named).ok_or(BadHead("its URL has no host, or a user's name"))?;
    if path.contains(['#', '\\']) {
        return Err(BadHead("its URL has characters that no path has"));
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok((host, port.unwrap_or(80), format!("{slash}{path}")))
}

struct Fields<'h>(&'h [httparse::Header<'h>]);

impl<'h> Fields<'h> {
    /// The value of a field that must not be there twice.
    fn one(&self, name: &str) -> Result<Option<&'h [u8]>, BadHead> {
        let mut values = self.0.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
        let value = values.next();
        if values.next().is_some() {
            Err(BadHead("it has Host, Content-Length or Transfer-Encoding twice"))
        } else {
            Ok(value)
        }
    }

    fn framing(&self, minor_version: u8) -> Result<Framing, BadHead> {
        match (self.one("content-length")?, self.one("transfer-encoding")?) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(length), None) => {
                let digits = (1..=18).contains(&length.len()) && length.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(length).ok().filter(|_| digits).and_then(|text| text.parse().ok());
                length.map(Framing::Length).ok_or(BadHead("its Content-Length is not a number"))
            }
            (None, Some(coding)) if minor_version == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked)
            }
            (None, Some(_)) => Err(BadHead("of the transfer encodings only `chunked` is known, since HTTP/1.1")),
            (Some(_), Some(_)) => Err(BadHead("it has both Content-Length and Transfer-Encoding")),
        }
    }

    /// What is meant for the server behind the proxy.
    fn passed_on(&self) -> Vec<(String, Vec<u8>)> {
        const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "te", "trailer", "upgrade"];
        const WRITTEN_ANEW: [&str; 3] = ["host", "content-length", "transfer-encoding"];
        let connection = self.0.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
        let for_the_proxy: Vec<String> = connection
            .flat_map(|field| field.value.split(|byte| *byte == b','))
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .collect();
        let fields = self.0.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()));
        let goes_on = |name: &str| {
            let known = HOP_BY_HOP.contains(&name) || WRITTEN_ANEW.contains(&name) || name.starts_with("proxy-");
            !known && !for_the_proxy.iter().any(|own| own == name)
        };
        fields.filter(|(name, _)| goes_on(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(head: &str) -> Result<Request, BadHead> {
        parse(head.as_bytes())
    }

    /// What goes to the server behind the proxy, with `\n` for line ends.
    fn passed_on(head: &str) -> String {
        let Request { host, port, wish: Wish::Forward(forward) } = read(head).unwrap() else { panic!("a tunnel") };
        String::from_utf8(forward.head(&host, port)).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn a_tunnel_is_asked_for_by_host_and_port() {
        for (head, host, port) in [
            ("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n", "api.example.com", 443),
            (
                "CONNECT api.example.com:443 HTTP/1.1\r\nHost: API.example.com\r\nProxy-Connection: x\r\n\r\n",
                "api.example.com",
                443,
            ),
            ("CONNECT git.example.com:22 HTTP/1.0\r\n\r\n", "git.example.com", 22),
            ("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "[::1]", 443),
        ] {
            assert_eq!(read(head), Ok(Request { host: host.into(), port, wish: Wish::Tunnel }));
        }
    }

    #[test]
    fn a_request_is_written_anew_for_the_server_behind() {
        assert_eq!(
            passed_on(
                "LOCK HTTP://State.internal:8080/state/7?ID=1 HTTP/1.1\r\nHost: state.internal:8080\r\nAuthorization: Basic eA==\r\n\
                 Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic cA==\r\n\
                 Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nContent-Length: 07\r\nAccept:  */* \r\n\r\n"
            ),
            "LOCK /state/7?ID=1 HTTP/1.1\nHost: State.internal:8080\nConnection: close\nauthorization: Basic eA==\naccept: */*\n\
             Content-Length: 7\n\n"
        );
        assert_eq!(
            passed_on("GET http://a.example.com HTTP/1.1\r\nHost: a.example.com:80\r\n\r\n"),
            "GET / HTTP/1.1\nHost: a.example.com\nConnection: close\n\n"
        );
        assert_eq!(
            passed_on(
                "POST http://a.example.com?q=http://b/ HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: Chunked\r\n\r\n"
            ),
            "POST /?q=http://b/ HTTP/1.1\nHost: a.example.com\nConnection: close\nTransfer-Encoding: chunked\n\n"
        );
    }

    #[test]
    fn a_field_cannot_be_taken_away_that_says_where_the_body_ends() {
        let head = "POST http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nConnection: content-length, host\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(passed_on(head), "POST / HTTP/1.1\nHost: a.example.com\nConnection: close\nContent-Length: 5\n\n");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let get = "GET http://a.example.com/ HTTP/1.1\r\n";
        let host = "Host: a.example.com\r\n";
        let heads = [
            // Whose host?
            format!("{get}\r\n"),
            format!("{get}{host}{host}\r\n"),
            format!("{get}{host}Host: b.example.com\r\n\r\n"),
            format!("{get}Host: b.example.com\r\n\r\n"),
            format!("{get}Host: a.example.com:8080\r\n\r\n"),
            format!("{get}Host: a.example.com, b.example.com\r\n\r\n"),
            format!("{get}Host:\r\n\r\n"),
            format!("{get}Host: \u{e9}\r\n\r\n"),
            format!("GET http://a.example.com@b.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET http://a.example.com\\@b.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET http://a.example.com%2f@b/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET http://a.example.com#@b.example.com/ HTTP/1.1\r\n{host}\r\n"),
            "CONNECT a.example.com:443 HTTP/1.1\r\nHost: b.example.com:443\r\n\r\n".to_owned(),
            "CONNECT a.example.com:443 HTTP/1.1\r\nHost: a.example.com:80\r\n\r\n".to_owned(),
            "CONNECT a.example.com HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
            "CONNECT a.example.com:0 HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
            "CONNECT a.example.com:+443 HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
            "CONNECT http://a.example.com:443 HTTP/1.1\r\nHost: a.example.com\r\n\r\n".to_owned(),
            // Where does the body end?
            format!("{get}{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
            format!("{get}{host}Content-Length: 5, 5\r\n\r\n"),
            format!("{get}{host}Content-Length: +5\r\n\r\n"),
            format!("{get}{host}Content-Length: -1\r\n\r\n"),
            format!("{get}{host}Content-Length: 0x5\r\n\r\n"),
            format!("{get}{host}Content-Length: 99999999999999999999\r\n\r\n"),
            format!("{get}{host}Content-Length:\r\n\r\n"),
            format!("{get}{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
            format!("{get}{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            format!("{get}{host}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            format!("{get}{host}Transfer-Encoding: xchunked\r\n\r\n"),
            format!("GET http://a.example.com/ HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n"),
            "CONNECT a.example.com:443 HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 5\r\n\r\n".to_owned(),
            // Where does a line end, and what is its name?
            format!("{get}{host}Content-Length : 5\r\n\r\n"),
            format!("{get}{host} Content-Length: 5\r\n\r\n"),
            format!("{get}{host}X: a\r\n b\r\n\r\n"),
            format!("{get}{host}X: a\nContent-Length: 5\r\n\r\n"),
            format!("{get}{host}X: a\rContent-Length: 5\r\n\r\n"),
            format!("{get}{host}X: a\0b\r\n\r\n"),
            format!("{get}{host}X\r\n\r\n"),
            format!("{get}{host}: x\r\n\r\n"),
            format!("{get}Host: a.example.com\n\n"),
            format!("\r\n{get}{host}\r\n"),
            format!(" {get}{host}\r\n"),
            // Which request?
            format!("GET  http://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET\thttp://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET http://a.example.com/a b HTTP/1.1\r\n{host}\r\n"),
            format!("GET http://a.example.com/ HTTP/2.0\r\n{host}\r\n"),
            format!("GET http://a.example.com/\r\n{host}\r\n"),
            format!("G(T http://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("get http://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET / HTTP/1.1\r\n{host}\r\n"),
            format!("GET * HTTP/1.1\r\n{host}\r\n"),
            format!("GET https://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET ftp://a.example.com/ HTTP/1.1\r\n{host}\r\n"),
            format!("GET http:///x HTTP/1.1\r\n{host}\r\n"),
            format!("{get}{host}{}\r\n", "X: 1\r\n".repeat(MAX_FIELDS)),
        ];
        for head in heads {
            assert!(read(&head).is_err(), "{head:?} was read as {:?}", read(&head));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_passed_on_is_one_request_and_means_the_same(
            target in "(:80)?([/?][a-z:@%/?.0-9]{0,20})?",
            fields in prop::collection::vec("(Content-Length|Connection|X-A|Proxy-B|Transfer-Encoding): ?([0-9]{1,3}|chunked|x-a)", 0..4),
        ) {
            let field = |field: &String| format!("{field}\r\n");
            let head = format!("POST http://a{target} HTTP/1.1\r\nHost: a\r\n{}\r\n", fields.iter().map(field).collect::<String>());
            if let Ok(Request { host, port, wish: Wish::Forward(forward) }) = read(&head) {
                let written = String::from_utf8(forward.head(&host, port)).unwrap();
                prop_assert_eq!(written.matches("\r\n\r\n").count(), 1);
                prop_assert_eq!(written.to_lowercase().matches("\r\nhost: ").count(), 1);
                let again = read(&written.replacen("POST ", &format!("POST http://{host}:{port}"), 1)).unwrap();
                prop_assert_eq!(again.wish, Wish::Forward(forward));
            }
        }
    }
}
