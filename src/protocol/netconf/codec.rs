//! Framing of NETCONF messages (RFC 6242 §4): end-of-message markers (base:1.0) and chunks (base:1.1). Pure and incremental.
//!
//! What is written here is read alike by every peer: a message that holds the end-of-message marker is never sent with that framing, and a
//! chunk of no bytes, with a leading zero or beyond the limit is not taken for anything else.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// How messages are parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each chunk has its length before it (RFC 6242 §4.2).
    Chunked,
    /// A marker stands behind each message (RFC 6242 §4.3).
    EndOfMessage,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of it.
    Data(Bytes),
    /// Its end.
    End,
}

/// Why bytes cannot be a message. Where the next one begins is not known then, so the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not what the framing says.
    #[error("the framing is broken: {0}")]
    Broken(&'static str),
    /// The message holds the marker that would end it.
    #[error("the message holds the end-of-message marker and cannot be sent to a peer of base:1.0")]
    HoldsMarker,
    /// More bytes than the limit.
    #[error("a message may have {0} bytes at most")]
    TooLong(u64),
}

/// What stands behind a message with base:1.0.
const MARKER: &[u8] = b"]]>]]>";
/// Digits of the largest chunk size (RFC 6242 §4.2: 4294967295).
const SIZE_DIGITS_MAX: usize = 10;
/// Blanks that a client may put between its hello and its first chunk.
const BLANKS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A message begins here.
    Between,
    /// Inside one, before a chunk.
    Inside,
    /// Inside a chunk with so many bytes to come.
    Chunk(u32),
}

/// Bytes in, pieces of messages out.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    state: State,
    buffer: BytesMut,
    message_bytes: u64,
    message_bytes_max: u64,
    /// Right behind the hello, where some clients leave an empty line.
    blanks: usize,
}

impl Decoder {
    /// Every connection begins with end-of-message framing (RFC 6242 §4.1).
    pub fn new(message_bytes_max: u64) -> Self {
        Self {
            framing: Framing::EndOfMessage,
            state: State::Between,
            buffer: BytesMut::new(),
            message_bytes: 0,
            message_bytes_max,
            blanks: 0,
        }
    }

    /// From the next message on, messages are framed like this. Call between messages only.
    pub fn switch(&mut self, framing: Framing) {
        self.framing = framing;
        self.blanks = BLANKS_MAX;
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether a message has begun and not ended.
    pub fn within_message(&self) -> bool {
        self.state != State::Between
    }

    /// The next piece; `None` until more bytes came.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn next_piece(&mut self) -> Result<Option<Piece>, FrameError> {
        let piece = match self.framing {
            Framing::Chunked => self.next_chunked()?,
            Framing::EndOfMessage => self.next_marked(),
        };
        match &piece {
            Some(Piece::Data(data)) => {
                self.message_bytes = self.message_bytes.saturating_add(data.len() as u64);
                if self.message_bytes > self.message_bytes_max {
                    return Err(FrameError::TooLong(self.message_bytes_max));
                }
            }
            Some(Piece::End) => self.message_bytes = 0,
            None => {}
        }
        Ok(piece)
    }

    fn next_marked(&mut self) -> Option<Piece> {
        let found = self.buffer.windows(MARKER.len()).position(|window| window == MARKER);
        match found {
            Some(0) => {
                self.buffer.advance(MARKER.len());
                self.state = State::Between;
                Some(Piece::End)
            }
            Some(at) => self.data(at),
            // What could be the beginning of a marker stays.
            None => {
                let kept =
                    (1..MARKER.len()).rev().find(|n| self.buffer.ends_with(MARKER.get(..*n).unwrap_or_default()));
                self.data(self.buffer.len() - kept.unwrap_or(0))
            }
        }
    }

    fn data(&mut self, bytes: usize) -> Option<Piece> {
        if bytes == 0 {
            return None;
        }
        self.state = State::Inside;
        Some(Piece::Data(self.buffer.split_to(bytes).freeze()))
    }

    fn next_chunked(&mut self) -> Result<Option<Piece>, FrameError> {
        loop {
            if let State::Chunk(left) = self.state {
                let bytes = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if bytes == 0 {
                    return Ok(None);
                }
                let left = left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
                self.state = if left == 0 { State::Inside } else { State::Chunk(left) };
                return Ok(Some(Piece::Data(self.buffer.split_to(bytes).freeze())));
            }
            match self.header()? {
                None => return Ok(None),
                Some(0) => {
                    self.state = State::Between;
                    return Ok(Some(Piece::End));
                }
                Some(size) => self.state = State::Chunk(size),
            }
        }
    }

    /// Reads `LF # size LF`, or `LF # # LF` as 0; `None` until it is whole.
    fn header(&mut self) -> Result<Option<u32>, FrameError> {
        while self.blanks > 0
            && let [first, second, ..] = *self.buffer
            && matches!(first, b'\n' | b'\r' | b' ')
            && second != b'#'
        {
            self.buffer.advance(1);
            self.blanks -= 1;
        }
        let bad = Err(FrameError::Broken("a chunk begins with a line feed and `#`"));
        match *self.buffer {
            [] | [b'\n'] | [b'\n', b'#'] => return Ok(None),
            [b' ' | b'\r'] if self.blanks > 0 => return Ok(None),
            [b'\n', b'#', ..] => self.blanks = 0,
            _ => return bad,
        }
        let line = self.buffer.get(2..).unwrap_or_default();
        let line = line.get(..line.len().min(SIZE_DIGITS_MAX + 1)).unwrap_or_default();
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            let so_far = line.len() <= SIZE_DIGITS_MAX && (line == b"#" || digits(line));
            return if so_far { Ok(None) } else { Err(FrameError::Broken("a chunk size is a number and a line feed")) };
        };
        let size = line.get(..end).unwrap_or_default();
        let size = match (size, self.state) {
            (b"#", State::Inside) => 0,
            (b"#", _) => return Err(FrameError::Broken("a message has one chunk at least")),
            (size, _) if digits(size) => std::str::from_utf8(size)
                .ok()
                .and_then(|text| text.parse::<u32>().ok())
                .ok_or(FrameError::Broken("a chunk has 4294967295 bytes at most"))?,
            _ => return Err(FrameError::Broken("a chunk size is a number without a leading zero")),
        };
        if u64::from(size) > self.message_bytes_max.saturating_sub(self.message_bytes) {
            return Err(FrameError::TooLong(self.message_bytes_max));
        }
        self.buffer.advance(2 + end + 1);
        Ok(Some(size))
    }
}

/// A number that begins with no zero.
fn digits(text: &[u8]) -> bool {
    text.first().is_some_and(|first| matches!(first, b'1'..=b'9')) && text.iter().all(u8::is_ascii_digit)
}

/// Pieces of messages in, bytes out.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// The last bytes of the message so far, where a marker could have begun.
    tail: Vec<u8>,
}

impl Encoder {
    /// Every connection begins with end-of-message framing.
    pub fn new() -> Self {
        Self { framing: Framing::EndOfMessage, tail: Vec::new() }
    }

    /// From the next message on, messages are framed like this.
    pub fn switch(&mut self, framing: Framing) {
        self.framing = framing;
        self.tail.clear();
    }

    /// Appends the framed form of a piece. Pieces of no bytes are nothing.
    ///
    /// # Errors
    /// The message cannot be sent with this framing; nothing that would end it early was appended.
    pub fn encode(&mut self, piece: &Piece, out: &mut BytesMut) -> Result<(), FrameError> {
        match (self.framing, piece) {
            (_, Piece::Data(data)) if data.is_empty() => {}
            (Framing::Chunked, Piece::Data(data)) => {
                for chunk in data.chunks(CHUNK_BYTES_MAX) {
                    out.put_slice(format!("\n#{}\n", chunk.len()).as_bytes());
                    out.put_slice(chunk);
                }
            }
            (Framing::Chunked, Piece::End) => out.put_slice(b"\n##\n"),
            (Framing::EndOfMessage, Piece::Data(data)) => {
                self.watch(data)?;
                out.put_slice(data);
            }
            (Framing::EndOfMessage, Piece::End) => {
                // The message's own end and the marker could make an earlier marker between them.
                let before = self.tail.len();
                let ends = [self.tail.as_slice(), MARKER].concat();
                if ends.windows(MARKER.len()).position(|window| window == MARKER) != Some(before) {
                    return Err(FrameError::HoldsMarker);
                }
                self.tail.clear();
                out.put_slice(MARKER);
            }
        }
        Ok(())
    }

    fn watch(&mut self, data: &[u8]) -> Result<(), FrameError> {
        let keep = MARKER.len() - 1;
        let seam = [self.tail.as_slice(), data.get(..data.len().min(keep)).unwrap_or_default()].concat();
        let holds = |bytes: &[u8]| bytes.windows(MARKER.len()).any(|window| window == MARKER);
        if holds(&seam) || holds(data) {
            return Err(FrameError::HoldsMarker);
        }
        self.tail.extend_from_slice(data.get(data.len().saturating_sub(keep)..).unwrap_or_default());
        let over = self.tail.len().saturating_sub(keep);
        self.tail.drain(..over);
        Ok(())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// A whole message, framed.
///
/// # Errors
/// It cannot be sent with this framing.
pub fn frame(framing: Framing, message: &[u8]) -> Result<Bytes, FrameError> {
    let mut encoder = Encoder::new();
    encoder.switch(framing);
    let mut out = BytesMut::with_capacity(message.len() + 32);
    encoder.encode(&Piece::Data(Bytes::copy_from_slice(message)), &mut out)?;
    encoder.encode(&Piece::End, &mut out)?;
    Ok(out.freeze())
}

/// The longest chunk that is sent.
const CHUNK_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
