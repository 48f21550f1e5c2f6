//! For whom a TLS connection is meant: the server name in the client's first message, which is not encrypted.
//!
//! A tunnel to an allowed name must not be one to another name that the same address serves. What is read here is passed on
//! unchanged. rustls does the reading: it is stricter and better tested than anything written for this purpose would be.
//!
//! With encrypted client hello (ECH) the name that counts here is the outer one, and what is inside is between the client
//! and the host that is named outside; so it is with HTTP's `Host` inside the connection.

use rustls::server::Acceptor;

/// The longest first message that is read. With post-quantum keys and ECH it takes 2 to 4 KiB.
const MAX_HELLO: usize = 16 * 1024;

/// A first message that is being read.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    length: usize,
}

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not complete.
    NotYet,
    /// For this name, in lower case.
    Name(String),
    /// TLS, and no name.
    NoName,
    NotTls,
}

impl Hello {
    /// The next bytes, cut anywhere. Not to be called again once something other than [`Found::NotYet`] was found.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Found {
        self.length += bytes.len();
        while !bytes.is_empty() {
            // Nothing is read where its buffer is full: a message that big is none of ours.
            if !matches!(self.acceptor.read_tls(&mut bytes), Ok(1..)) {
                return Found::NotTls;
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return name.map_or(Found::NoName, Found::Name);
                }
                Err(_) => return Found::NotTls,
            }
        }
        if self.length < MAX_HELLO { Found::NotYet } else { Found::NotTls }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::sync::Arc;

    /// The first message of a real client.
    pub(in super::super) fn client_hello(name: &'static str, send_name: bool) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.enable_sni = send_name;
        let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }
}

#[cfg(test)]
mod tests {
    use super::testing::client_hello;
    use super::*;
    use proptest::prelude::*;

    fn found(bytes: &[u8]) -> Found {
        Hello::default().push(bytes)
    }

    fn name(name: &str) -> Found {
        Found::Name(name.to_owned())
    }

    /// The same message in records of at most `size` bytes.
    fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&hello[..3], &length, part].concat()
        };
        hello[5..].chunks(size).flat_map(record).collect()
    }

    #[test]
    fn the_name_is_found_wherever_the_message_is_cut() {
        let hello = client_hello("API.example.com", true);
        assert_eq!(found(&hello), name("api.example.com"));
        for cut in 1..hello.len() {
            let mut reading = Hello::default();
            assert_eq!(reading.push(&hello[..cut]), Found::NotYet, "{cut}");
            assert_eq!(reading.push(&hello[cut..]), name("api.example.com"), "{cut}");
        }
    }

    #[test]
    fn the_name_is_found_byte_by_byte_and_in_many_records() {
        let hello = client_hello("api.example.com", true);
        let mut reading = Hello::default();
        let mut each = hello.iter().map(|byte| reading.push(&[*byte]));
        assert!(each.by_ref().take(hello.len() - 1).all(|found| found == Found::NotYet));
        assert_eq!(each.next(), Some(name("api.example.com")));
        for size in [1, 2, 7, 100, 1000] {
            assert_eq!(found(&in_records(&hello, size)), name("api.example.com"), "records of {size}");
        }
    }

    #[test]
    fn a_client_that_names_nobody_is_told_apart_from_one_that_speaks_no_tls() {
        assert_eq!(found(&client_hello("api.example.com", false)), Found::NoName);
        assert_eq!(found(&client_hello("192.0.2.1", true)), Found::NoName);
        for text in
            ["GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "\0\0\0\0\0\0\0\0", "\x15\x03\x01\0\x02\x02\x28"]
        {
            assert_eq!(found(text.as_bytes()), Found::NotTls, "{text:?}");
        }
    }

    #[test]
    fn a_message_without_end_is_given_up() {
        // A handshake record that announces 16 MiB less one byte, and goes on and on.
        let mut reading = Hello::default();
        let mut found = reading.push(&[0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]);
        let mut pushed = 9;
        while found == Found::NotYet {
            assert!(pushed <= MAX_HELLO, "still reading");
            found = reading.push(&[0; 100]);
            pushed += 100;
        }
        assert_eq!(found, Found::NotTls);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            found(&bytes);
            found(&[&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], bytes.as_slice()].concat());
        }

        #[test]
        fn nothing_makes_it_panic_in_the_midst_of_a_real_message(at in 0usize..300, byte in any::<u8>()) {
            let mut hello = client_hello("api.example.com", true);
            let at = at % hello.len();
            hello[at] = byte;
            found(&hello);
        }
    }
}
