//! Where one HTTP/1.1 request ends and the next begins (RFC 9112 §6, §7.1), read as strictly as the text can be. Pure.
//!
//! The library behind this parses requests, and what goes to an element is written anew from what it understood, so that nothing can be smuggled
//! past the gateway. But where a message could be read in two ways it is not for the gateway to choose one: whatever stands in front of it may have
//! chosen the other. So it is refused here: both a length and chunks, a length twice, any coding but `chunked`, chunk extensions, trailers,
//! folded headers, lines that do not end in CR LF, and bytes that cannot stand where they do.

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(u64),
}

/// Follows the bytes of a client from request to request.
#[derive(Debug)]
pub(super) struct Follower {
    state: State,
    head: Vec<u8>,
    head_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of body are left.
    Body(u64),
    Chunks(Chunks),
}

/// Where in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// In a size, of which so many digits were read.
    Size {
        digits: u8,
        size: u64,
    },
    /// The line feed after a size.
    SizeEnd {
        size: u64,
    },
    Data(u64),
    /// The two bytes after the data.
    DataCr,
    DataLf,
    /// The two bytes after the last size.
    LastCr,
    LastLf,
}

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many of them belong to a body.
    Body(usize),
    /// So many of them were taken as headers, which are not complete.
    Taken(usize),
    /// So many of them were taken as headers, which are complete now: [`Follower::take_head`].
    Head(usize),
    /// The headers are longer than allowed.
    TooLong,
    /// Refused, and why.
    Refused(&'static str),
}

impl Follower {
    pub(super) fn new(head_bytes_max: usize) -> Self {
        Self { state: State::Head, head: Vec::new(), head_bytes_max }
    }

    /// Whether the headers of a request have begun and are not complete.
    pub(super) fn within_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// Whether a request has begun that is not complete.
    #[cfg(test)]
    pub(super) fn within_request(&self) -> bool {
        self.state != State::Head || !self.head.is_empty()
    }

    /// The headers that were taken, complete or not.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Follows the next bytes, some of them. There is at least one.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match self.state {
            State::Head => self.step_head(bytes),
            State::Body(left) => {
                let now = left.min(bytes.len() as u64);
                self.state = if now == left { State::Head } else { State::Body(left - now) };
                Step::Body(usize::try_from(now).unwrap_or(bytes.len()))
            }
            State::Chunks(chunks) => self.step_chunks(chunks, bytes),
        }
    }

    fn step_head(&mut self, bytes: &[u8]) -> Step {
        let before = self.head.len();
        // Empty lines before a request are skipped by everybody (RFC 9112 §2.2); here they do not even pass.
        let skipped = if before == 0 { bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count() } else { 0 };
        let Some(rest) = bytes.get(skipped..).filter(|rest| !rest.is_empty()) else { return Step::Taken(skipped) };
        let room = self.head_bytes_max.saturating_sub(before);
        let now = rest.get(..rest.len().min(room)).unwrap_or(rest);
        self.head.extend_from_slice(now);
        let search = before.saturating_sub(3);
        let end = self.head.get(search..).and_then(|tail| tail.windows(4).position(|four| four == b"\r\n\r\n"));
        let Some(end) = end.map(|at| search + at + 4) else {
            // A line feed alone would end the headers for others.
            let previous = before.checked_sub(1).and_then(|at| self.head.get(at)).copied().unwrap_or(0);
            if bare_line_end(previous, self.head.get(before..).unwrap_or_default()) {
                return Step::Refused("a line does not end in CR LF");
            }
            return if self.head.len() >= self.head_bytes_max {
                Step::TooLong
            } else {
                Step::Taken(skipped + now.len())
            };
        };
        self.head.truncate(end);
        match framing(&self.head) {
            Ok(framing) => {
                self.state = match framing {
                    Framing::Length(0) => State::Head,
                    Framing::Length(length) => State::Body(length),
                    Framing::Chunked => State::Chunks(Chunks::Size { digits: 0, size: 0 }),
                };
                Step::Head(skipped + (end - before))
            }
            Err(why) => Step::Refused(why),
        }
    }

    fn step_chunks(&mut self, mut at: Chunks, bytes: &[u8]) -> Step {
        const BAD: Step = Step::Refused("a chunk is not framed as it must be");
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken) {
            at = match at {
                Chunks::Data(left) => {
                    let now = left.min((bytes.len() - taken) as u64);
                    taken += usize::try_from(now).unwrap_or(0);
                    if now == left { Chunks::DataCr } else { Chunks::Data(left - now) }
                }
                other => {
                    taken += 1;
                    match (other, byte) {
                        (Chunks::Size { digits, size }, digit) if digits < 15 && digit.is_ascii_hexdigit() => {
                            let value = char::from(*digit).to_digit(16).unwrap_or(0);
                            Chunks::Size { digits: digits + 1, size: size * 16 + u64::from(value) }
                        }
                        (Chunks::Size { digits: 1.., size }, b'\r') => Chunks::SizeEnd { size },
                        (Chunks::SizeEnd { size: 0 }, b'\n') => Chunks::LastCr,
                        (Chunks::SizeEnd { size }, b'\n') => Chunks::Data(size),
                        (Chunks::DataCr, b'\r') => Chunks::DataLf,
                        (Chunks::DataLf, b'\n') => Chunks::Size { digits: 0, size: 0 },
                        (Chunks::LastCr, b'\r') => Chunks::LastLf,
                        (Chunks::LastLf, b'\n') => {
                            self.state = State::Head;
                            return Step::Body(taken);
                        }
                        _ => return BAD,
                    }
                }
            };
        }
        self.state = State::Chunks(at);
        Step::Body(taken)
    }
}

/// Whether some line ends in LF alone, or has a CR in it.
fn bare_line_end(mut previous: u8, bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| {
        let bare = (*byte == b'\n') != (previous == b'\r');
        previous = *byte;
        bare
    })
}

/// The framing of the body that follows complete headers.
fn framing(head: &[u8]) -> Result<Framing, &'static str> {
    if bare_line_end(0, head) {
        return Err("a line does not end in CR LF");
    }
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let minor = request_line(lines.next().unwrap_or_default()).ok_or("the request line is not one")?;
    let (mut length, mut chunked) = (None, false);
    for line in lines {
        let (name, value) = header(line).ok_or("a header is not one")?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = (1..=15).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(value).ok().filter(|_| digits);
            let new = text.and_then(|text| text.parse().ok()).ok_or("Content-Length is not one number")?;
            if length.replace(new).is_some() {
                return Err("Content-Length is there twice");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || minor == 0 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("Transfer-Encoding is not `chunked`, once, in HTTP/1.1");
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err("both Content-Length and Transfer-Encoding are there"),
        (None, true) => Ok(Framing::Chunked),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// `METHOD SP target SP HTTP/1.x`; gives x.
fn request_line(line: &[u8]) -> Option<u8> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let fits =
        parts.next().is_none() && is_token(method) && !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    match version {
        b"HTTP/1.1" if fits => Some(1),
        b"HTTP/1.0" if fits => Some(0),
        _ => None,
    }
}

/// Name and value, without the blanks around it. A line that begins with a blank continues another (RFC 9112 §5.2) and is none.
fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let printable = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..));
    (is_token(name) && printable).then(|| (name, value.trim_ascii()))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows `text` in pieces of `size`; gives the heads, the body bytes, and the refusal if there was one.
    fn follow(text: &[u8], size: usize) -> (Vec<String>, String, Option<&'static str>) {
        let mut follower = Follower::new(200);
        let (mut heads, mut bodies) = (Vec::new(), Vec::new());
        for piece in text.chunks(size) {
            let mut piece = piece;
            while !piece.is_empty() {
                let taken = match follower.step(piece) {
                    Step::Body(count) => {
                        bodies.extend_from_slice(&piece[..count]);
                        count
                    }
                    Step::Taken(count) => count,
                    Step::Head(count) => {
                        heads.push(String::from_utf8(follower.take_head()).expect("text"));
                        count
                    }
                    Step::TooLong => return (heads, String::new(), Some("too long")),
                    Step::Refused(why) => return (heads, String::new(), Some(why)),
                };
                piece = &piece[taken..];
            }
        }
        let whole = if follower.within_request() { Some("incomplete") } else { None };
        (heads, String::from_utf8(bodies).expect("text"), whole)
    }

    #[test]
    fn requests_are_told_apart_however_they_arrive() {
        let text = "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyzPUT /c HTTP/1.1\r\ntransfer-encoding:  Chunked \r\n\r\n\
                    4\r\nGET \r\nA\r\n0123456789\r\n0\r\n\r\n\r\nGET /d HTTP/1.0\r\nX: \u{e9}\t\r\n\r\n";
        for size in [1, 2, 3, 7, 64, 4096] {
            let (heads, bodies, left) = follow(text.as_bytes(), size);
            let lines: Vec<_> = heads.iter().map(|head| head.lines().next().expect("a line")).collect();
            assert_eq!(lines, ["GET /a HTTP/1.1", "POST /b HTTP/1.1", "PUT /c HTTP/1.1", "GET /d HTTP/1.0"], "{size}");
            assert_eq!((bodies.as_str(), left), ("xyz4\r\nGET \r\nA\r\n0123456789\r\n0\r\n\r\n", None), "{size}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(200));
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding\t: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nX: a\r\n Content-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\n Host: x\r\n\r\n",
            "POST / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
            "POST / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            "POST / HTTP/1.1\r\nX: a\rContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\nHost: x\n\n",
            "POST / HTTP/1.1\r\nHost: x\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\n",
            "POST / HTTP/1.1\r\nHost\r\n\r\n",
            "POST / HTTP/1.1\r\n: x\r\n\r\n",
            "POST / HTTP/1.1\r\nH\u{e9}: x\r\n\r\n",
            "POST  / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1 \r\n\r\n",
            "POST / HTTP/2.0\r\n\r\n",
            "POST / http/1.1\r\n\r\n",
            "POST /\r\n\r\n",
            "POST\t/ HTTP/1.1\r\n\r\n",
            "POST /\u{e9} HTTP/1.1\r\n\r\n",
            " POST / HTTP/1.1\r\n\r\n",
            "\0\r\n\r\n",
            &long,
        ] {
            for size in [1, 5, 4096] {
                let (heads, _, refused) = follow(text.as_bytes(), size);
                assert!(
                    heads.is_empty() && refused.is_some() && refused != Some("incomplete"),
                    "{text:?} {heads:?} {refused:?}"
                );
            }
        }
    }

    #[test]
    fn chunks_that_are_refused() {
        for body in [
            "g\r\n",
            "\r\n",
            "-1\r\n",
            "0x1\r\n",
            "+1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1;a=b\r\nx\r\n",
            "1\nx",
            "1\r\nxy",
            "1\r\nx\n",
            "1\rx",
            "0\r\nX: y\r\n\r\n",
            "0\r\n\n",
            "0\n",
            "0\r\nGET",
            "10000000000000000\r\n",
            "00000000000000001\r\nx\r\n",
        ] {
            for size in [1, 4096] {
                let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
                let (_, _, refused) = follow(text.as_bytes(), size);
                assert_eq!(refused, Some("a chunk is not framed as it must be"), "{body:?}");
            }
        }
    }

    proptest::proptest! {
        /// How the bytes are cut changes nothing.
        #[test]
        fn cuts_change_nothing(text in "(GET / HTTP/1.1\r\n|Content-Length: [0-3]\r\n|Transfer-Encoding: chunked\r\n|\r\n|[0-3]\r\n|[a-c\r\n]{0,3}){0,8}", size in 1_usize..9) {
            proptest::prop_assert_eq!(follow(text.as_bytes(), size), follow(text.as_bytes(), 4096));
        }
    }
}
