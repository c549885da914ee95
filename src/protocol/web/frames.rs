//! Frames of a WebSocket (RFC 6455 §5), followed while they pass: what is none does not pass, and what text says is known. Pure.

/// The most that is kept of one text message; what follows it passes and is not kept.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Whose frames are masked.
    Client,
    /// Whose frames are not.
    Server,
}

/// A message of text, or as much of it as is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What it says.
    pub(super) text: Vec<u8>,
    /// Its whole length in bytes.
    pub(super) bytes: u64,
}

/// Follows one direction.
#[derive(Debug)]
pub(super) struct Frames {
    side: Side,
    head: Vec<u8>,
    /// The payload that is under way: how much is left, how much has passed, and the mask.
    payload: Option<(u64, usize, [u8; 4])>,
    opcode: u8,
    last: bool,
    /// The message that is under way, when its first frame has come: whether it is text.
    message: Option<bool>,
    text: Vec<u8>,
    bytes: u64,
}

impl Frames {
    pub(super) fn of(side: Side) -> Self {
        Self {
            side,
            head: Vec::new(),
            payload: None,
            opcode: 0,
            last: false,
            message: None,
            text: Vec::new(),
            bytes: 0,
        }
    }

    /// Follows the next bytes; gives the text messages that end in them.
    ///
    /// # Errors
    /// They are not what this side may send.
    pub(super) fn follow(&mut self, mut data: &[u8]) -> Result<Vec<Message>, &'static str> {
        let mut messages = Vec::new();
        while !data.is_empty() {
            match self.payload {
                Some((left, at, mask)) => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                    let (piece, rest) = data.split_at_checked(now).unwrap_or((data, &[]));
                    self.take(piece, at, mask);
                    data = rest;
                    let left = left.saturating_sub(now as u64);
                    self.payload = Some((left, (at + now) % 4, mask));
                }
                None => {
                    let Some((byte, rest)) = data.split_first() else { break };
                    self.head.push(*byte);
                    data = rest;
                    self.begin()?;
                }
            }
            if matches!(self.payload, Some((0, ..))) {
                self.payload = None;
                messages.extend(self.end());
            }
        }
        Ok(messages)
    }

    /// Reads the head of a frame, once it is there whole.
    fn begin(&mut self) -> Result<(), &'static str> {
        let [first, second, rest @ ..] = self.head.as_slice() else { return Ok(()) };
        let (opcode, masked, short) = (first & 0x0f, second & 0x80 != 0, second & 0x7f);
        if first & 0x70 != 0 {
            return Err("a frame of an extension that was not agreed on");
        }
        if masked != (self.side == Side::Client) {
            return Err("a frame of the wrong side");
        }
        let control = opcode >= 8;
        if control && (first & 0x80 == 0 || short > 125) || !matches!(opcode, 0..=2 | 8..=10) {
            return Err("a frame of no known kind");
        }
        if !control && (opcode == 0) != self.message.is_some() {
            return Err("a frame out of its message");
        }
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if masked { 4 } else { 0 };
        if rest.len() < length_bytes + mask_bytes {
            return Ok(());
        }
        let (length, mask) = rest.split_at_checked(length_bytes).unwrap_or((rest, &[]));
        let long = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        let length = if length_bytes == 0 { u64::from(short) } else { long };
        if length > u64::from(u32::MAX) || length_bytes == 2 && length < 126 || length_bytes == 8 && length < 1 << 16 {
            return Err("a length that is not written as it must be");
        }
        let mask = <[u8; 4]>::try_from(mask).unwrap_or_default();
        (self.opcode, self.last) = (opcode, first & 0x80 != 0);
        if matches!(opcode, 1 | 2) {
            self.message = Some(opcode == 1);
        }
        self.head.clear();
        self.payload = Some((length, 0, mask));
        Ok(())
    }

    fn take(&mut self, piece: &[u8], at: usize, mask: [u8; 4]) {
        if self.opcode >= 8 || self.message != Some(true) {
            return;
        }
        self.bytes += piece.len() as u64;
        let room = KEPT_BYTES_MAX.saturating_sub(self.text.len());
        let key = mask.iter().cycle().skip(at);
        self.text.extend(piece.iter().zip(key).take(room).map(|(byte, key)| byte ^ key));
    }

    /// The end of a frame; gives its message when that ends too and is text.
    fn end(&mut self) -> Option<Message> {
        if self.opcode >= 8 || !self.last {
            return None;
        }
        let (text, bytes) = (std::mem::take(&mut self.text), std::mem::take(&mut self.bytes));
        (self.message.take() == Some(true)).then_some(Message { text, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked with `1234`.
    fn masked(first: u8, text: &[u8]) -> Vec<u8> {
        let length = u8::try_from(text.len()).expect("a short text");
        let mut frame = vec![first, 0x80 | length, 1, 2, 3, 4];
        frame.extend(text.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    fn plain(first: u8, text: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(text.len()).expect("a short text")], text].concat()
    }

    fn texts(side: Side, data: &[u8], cut: usize) -> Result<Vec<String>, &'static str> {
        let mut frames = Frames::of(side);
        let mut all = Vec::new();
        for piece in data.chunks(cut) {
            all.extend(frames.follow(piece)?);
        }
        Ok(all.into_iter().map(|message| String::from_utf8_lossy(&message.text).into_owned()).collect())
    }

    #[test]
    fn what_text_says_is_known_however_it_is_cut() {
        let long = [&[0x81, 126, 0, 200][..], &[b'x'; 200]].concat();
        for cut in [1, 2, 5, 4096] {
            let client =
                [masked(0x81, b"hello"), masked(0x89, b"ping"), masked(0x82, b"\0\x01"), masked(0x81, b"")].concat();
            assert_eq!(texts(Side::Client, &client, cut), Ok(vec!["hello".to_owned(), String::new()]));
            let server = [plain(0x01, b"one "), plain(0x8a, b""), plain(0x00, b"two "), plain(0x80, b"three")].concat();
            assert_eq!(texts(Side::Server, &server, cut), Ok(vec!["one two three".to_owned()]));
            assert_eq!(texts(Side::Server, &long, cut), Ok(vec!["x".repeat(200)]));
        }
        let mut frames = Frames::of(Side::Server);
        let huge = [&[0x81, 127, 0, 0, 0, 0, 0, 2, 0, 0][..], &vec![b'x'; 128 << 10]].concat();
        let messages = frames.follow(&huge).expect("frames");
        assert_eq!((messages[0].text.len(), messages[0].bytes), (KEPT_BYTES_MAX, 128 << 10));
    }

    #[test]
    fn what_is_no_frame_of_its_side_does_not_pass() {
        for data in [
            plain(0x81, b"unmasked"),
            masked(0xc1, b"compressed"),
            masked(0x83, b""),
            masked(0x8b, b""),
            masked(0x09, b"a control frame in parts"),
            masked(0x80, b"a part of nothing"),
            [masked(0x01, b"one"), masked(0x81, b"another")].concat(),
            vec![0x88, 0xfe, 0, 126],
            vec![0x81, 0xfe, 0, 5, 1, 2, 3, 4],
            vec![0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ] {
            assert!(texts(Side::Client, &data, 1).is_err(), "{data:?}");
        }
        assert!(texts(Side::Server, &masked(0x81, b"masked"), 4096).is_err());
    }
}
