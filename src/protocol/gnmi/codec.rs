//! gRPC's length-prefixed messages inside an HTTP/2 body (gRPC over HTTP2, "Length-Prefixed-Message"). Pure.
//!
//! A message that is marked as compressed is refused, not decompressed: the gateway offers no encoding but identity to either side, so only a peer
//! that ignores this sends one. A message's length is judged when its prefix has come, before anything is kept for it.

/// The prefix of a message: a flag and a length.
pub const PREFIX_BYTES: usize = 5;

/// What is wrong with a stream of messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is marked as compressed.
    #[error("the message is compressed; the gateway takes identity only")]
    Compressed,
    /// The flag is neither 0 nor 1.
    #[error("the first byte of a message is {0}, which is no flag of gRPC")]
    Flag(u8),
    /// It is longer than the limit.
    #[error("the message has {bytes} bytes, and limits.grpc_message_bytes_max is {max}")]
    TooLong {
        /// What its prefix says.
        bytes: u32,
        /// The limit.
        max: usize,
    },
    /// The stream ends inside a message.
    #[error("the stream ends inside a message")]
    Torn,
}

/// One message as it stood on the wire, prefix included: this is what is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed(Vec<u8>);

impl Framed {
    /// Around `message`; none when it is longer than a prefix can say.
    pub fn around(message: &[u8]) -> Option<Self> {
        let length = u32::try_from(message.len()).ok()?;
        let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
        framed.push(0);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(message);
        Some(Self(framed))
    }

    /// The message without its prefix.
    pub fn message(&self) -> &[u8] {
        self.0.get(PREFIX_BYTES..).unwrap_or_default()
    }

    /// What goes on the wire.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes messages out of the pieces that a body comes in.
#[derive(Debug)]
pub struct Framer {
    bytes_max: usize,
    held: Vec<u8>,
}

impl Framer {
    /// For messages of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Vec::new() }
    }

    /// Takes of a piece what belongs to the next message, which comes back once it is whole.
    ///
    /// # Errors
    /// The stream cannot be read on.
    pub fn take(&mut self, piece: &mut &[u8]) -> Result<Option<Framed>, FrameError> {
        self.fill(piece, PREFIX_BYTES);
        let Some(length) = self.length()? else { return Ok(None) };
        self.fill(piece, PREFIX_BYTES + length);
        if self.held.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        Ok(Some(Framed(std::mem::take(&mut self.held))))
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// It ended inside a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.held.is_empty() { Ok(()) } else { Err(FrameError::Torn) }
    }

    fn fill(&mut self, piece: &mut &[u8], want: usize) {
        let lacking = want.saturating_sub(self.held.len()).min(piece.len());
        if let Some((taken, rest)) = piece.split_at_checked(lacking) {
            self.held.extend_from_slice(taken);
            *piece = rest;
        }
    }

    /// The length that the prefix says, once it is there.
    fn length(&self) -> Result<Option<usize>, FrameError> {
        match self.held.first() {
            Some(0) | None => {}
            Some(1) => return Err(FrameError::Compressed),
            Some(flag) => return Err(FrameError::Flag(*flag)),
        }
        let Some([_, length @ ..]) = self.held.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let bytes = u32::from_be_bytes(*length);
        match usize::try_from(bytes) {
            Ok(length) if length <= self.bytes_max => Ok(Some(length)),
            _ => Err(FrameError::TooLong { bytes, max: self.bytes_max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], max: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut framer = Framer::new(max);
        let mut messages = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(message) = framer.take(&mut rest)? {
                messages.push(message.message().to_vec());
            }
            assert!(rest.is_empty(), "what is not a whole message yet is held");
        }
        framer.finish().map(|()| messages)
    }

    #[test]
    fn messages_in_any_pieces() {
        for (pieces, expected) in [
            (&[][..], &[][..]),
            (&[&[0, 0, 0, 0, 0][..]], &[&b""[..]]),
            (&[b"\0\0\0\0\x02ab\0\0\0\0\x01c"], &[b"ab", b"c"]),
            (&[b"\0", b"\0\0\0", b"\x02", b"a", b"b\0\0\0\0", b"\x00"], &[b"ab", b""]),
            (&[b"", b"\0\0\0\0\x04abcd", b""], &[b"abcd"]),
        ] {
            assert_eq!(read(pieces, 4).as_deref(), Ok(&expected.iter().map(|m| m.to_vec()).collect::<Vec<_>>()[..]));
        }
    }

    #[test]
    fn streams_that_are_refused() {
        for (pieces, error) in [
            (&[&b"\x01"[..]][..], FrameError::Compressed),
            (&[b"\x01\0\0\0\x01a"], FrameError::Compressed),
            (&[b"\x02\0\0\0\0"], FrameError::Flag(2)),
            (&[b"\xff"], FrameError::Flag(255)),
            (&[b"\0\0\0\0\0\x80"], FrameError::Flag(128)),
            (&[b"\0\0\0\0\x05"], FrameError::TooLong { bytes: 5, max: 4 }),
            (&[b"\0\xff\xff\xff\xff"], FrameError::TooLong { bytes: u32::MAX, max: 4 }),
            (&[b"\0"], FrameError::Torn),
            (&[b"\0\0\0\0"], FrameError::Torn),
            (&[b"\0\0\0\0\x02a"], FrameError::Torn),
            (&[b"\0\0\0\0\x02ab\0"], FrameError::Torn),
        ] {
            assert_eq!(read(pieces, 4), Err(error), "{pieces:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_framed_reads_back(messages: Vec<Vec<u8>>, cut in 1_usize..9) {
            let stream: Vec<u8> = messages.iter().filter_map(|message| Framed::around(message)).flat_map(Framed::into_bytes).collect();
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            proptest::prop_assert_eq!(read(&pieces, usize::MAX), Ok(messages));
        }
    }
}
