//! Where the body of a request ends. What follows is not passed on: it would be a second request that nobody judged.

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes.
    Length(u64),
    Chunked,
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body(State);

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    Size { size: u64, digits: u8 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    LastCr,
    LastLf,
    Done,
}

/// The chunks are not as they should be. Extensions and trailers, which no client of ours sends, count as such.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not in plain chunks")]
pub(super) struct BadChunk;

impl Body {
    pub(super) const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        })
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many of these bytes, which come next, belong to it. All of them, unless it is over.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken) {
            let available = (bytes.len() - taken) as u64;
            let run = match self.0 {
                State::Done => break,
                State::Length(left) | State::Data { left } => left.min(available),
                _ => 1,
            };
            self.0 = match self.0 {
                State::Length(left) if left == run => State::Done,
                State::Length(left) => State::Length(left - run),
                State::Data { left } if left == run => State::DataCr,
                State::Data { left } => State::Data { left: left - run },
                other => other.after(*byte)?,
            };
            taken += usize::try_from(run).unwrap_or(usize::MAX);
        }
        Ok(taken)
    }
}

impl State {
    /// The state after one byte of what is around the data.
    const fn after(self, byte: u8) -> Result<Self, BadChunk> {
        // 15 digits are more than any disk holds, and far from overflowing.
        const MAX_DIGITS: u8 = 15;
        match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                Ok(Self::Size { size: size * 16 + digit as u64, digits: digits + 1 })
            }
            (Self::Size { size, digits: 1.. }, b'\r') => Ok(Self::SizeEnd { size }),
            (Self::SizeEnd { size: 0 }, b'\n') => Ok(Self::LastCr),
            (Self::SizeEnd { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::Size { size: 0, digits: 0 }),
            (Self::LastCr, b'\r') => Ok(Self::LastLf),
            (Self::LastLf, b'\n') => Ok(Self::Done),
            _ => Err(BadChunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How much of it belongs to the body, and whether it is over.
    fn taken(framing: Framing, bytes: &str) -> Result<(usize, bool), BadChunk> {
        let mut body = Body::new(framing);
        let taken = body.take(bytes.as_bytes())?;
        Ok((taken, body.is_over()))
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        assert_eq!(taken(Framing::Length(0), "GET /"), Ok((0, true)));
        assert_eq!(taken(Framing::Length(5), "12345GET /"), Ok((5, true)));
        assert_eq!(taken(Framing::Length(5), "1234"), Ok((4, false)));
        assert_eq!(taken(Framing::Length(u64::MAX), "1234"), Ok((4, false)));
    }

    #[test]
    fn a_body_in_chunks_ends_after_the_empty_one() {
        let body = "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(taken(Framing::Chunked, body), Ok((body.len(), true)));
        assert_eq!(taken(Framing::Chunked, &format!("{body}GET / HTTP/1.1")), Ok((body.len(), true)));
        for cut in 0..body.len() {
            assert_eq!(taken(Framing::Chunked, &body[..cut]), Ok((cut, false)), "{cut}");
        }
    }

    #[test]
    fn chunks_that_somebody_else_could_read_differently_are_refused() {
        for body in [
            "\r\n",
            "5\n",
            "5;a=b\r\n",
            "5 \r\n",
            " 5\r\n",
            "+5\r\n",
            "0x5\r\n",
            "g\r\n",
            "-1\r\n",
            "5\r\nhelloo",
            "5\r\nhello\n",
            "5\r\nhello\r\r",
            "0\r\nX: y\r\n\r\n",
            "0\r\n\n",
            "1000000000000000\r\n",
        ] {
            assert_eq!(taken(Framing::Chunked, body), Err(BadChunk), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in any::<u64>()) {
            for framing in [Framing::Chunked, Framing::Length(length)] {
                if let Ok(taken) = Body::new(framing).take(&bytes) {
                    prop_assert!(taken <= bytes.len());
                }
            }
        }

        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(parts in prop::collection::vec("[a-z0-9\r\n]{1,40}", 1..5), size in 1usize..9) {
            let chunk = |part: &String| format!("{:x}\r\n{part}\r\n", part.len());
            let whole = format!("{}0\r\n\r\n", parts.iter().map(chunk).collect::<String>());
            let mut body = Body::new(Framing::Chunked);
            for piece in whole.as_bytes().chunks(size) {
                prop_assert_eq!(body.take(piece), Ok(piece.len()));
            }
            prop_assert!(body.is_over());
        }
    }
}
