//! What a recording's frames say, and their bytes. Pure, like [`super::format`].

use crate::domain::{Action, DecisionFacts, Outcome};

use super::exchange::Exchange;
use super::format::{FormatError, Take, odd, put_varint};

/// Which of a channel's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// From the client.
    Input,
    /// From the element: standard output, or the terminal.
    Output,
    /// From the element: standard error.
    Error,
}

/// The SHA-256 that a running hash has come to, as frames hold it.
pub fn sha256_of(hash: aws_lc_rs::digest::Context) -> [u8; 32] {
    let mut sha256 = [0; 32];
    for (to, from) in sha256.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    sha256
}

/// How a file operation ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileEvent {
    /// What was done: the verb and the path.
    pub action: Action,
    /// Where to, for renames and links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether the element did it; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    /// Bytes of content moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the content in hexadecimal, when it passed in order and whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One thing that happened in a session, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's sentence names its fields")]
pub enum Frame<'a> {
    /// A channel was asked for, and this was decided.
    ChannelOpened { channel: u32, action: &'a Action, decision: &'a DecisionFacts },
    /// A terminal was requested for the channel.
    Terminal { channel: u32, term: &'a str, columns: u32, rows: u32 },
    /// Bytes that passed.
    Data { channel: u32, stream: Stream, data: &'a [u8] },
    /// Input that goes on now; what of it is kept, and what is hidden, is told by later frames.
    Input { channel: u32, bytes: u64 },
    /// Input that the element did not echo, or that may hold a secret: only its length is kept.
    HiddenInput { channel: u32, bytes: u64 },
    /// Bulk content past the cap: only length and digest of all of the stream are kept (sent once, when the stream ends).
    Digest { channel: u32, stream: Stream, bytes: u64, kept: u64, sha256: [u8; 32] },
    /// The window changed its size.
    Resize { channel: u32, columns: u32, rows: u32 },
    /// A signal was sent to the command.
    Signal { channel: u32, name: &'a str },
    /// An environment variable was passed on, or not.
    Environment { channel: u32, name: &'a str, value: &'a str, passed: bool },
    /// An inner action was decided.
    Decided { channel: u32, action: &'a Action, decision: &'a DecisionFacts },
    /// A file operation ended.
    File { channel: u32, event: &'a FileEvent },
    /// A message of a management protocol passed, or was answered by the gateway.
    Exchange { channel: u32, exchange: &'a Exchange },
    /// A forwarded connection ended.
    Forwarded { channel: u32, destination: &'a str, bytes_in: u64, bytes_out: u64 },
    /// The command ended with this status.
    ExitStatus { channel: u32, status: u32 },
    /// The command was ended by this signal.
    ExitSignal { channel: u32, name: &'a str, message: &'a str },
    /// The channel ended.
    ChannelClosed { channel: u32, outcome: Outcome },
    /// Something for the auditor to read.
    Note { text: &'a str },
}

impl Frame<'_> {
    /// Whether it tells how something ended: such frames are taken a little longer than others.
    pub(super) fn tells_an_end(&self) -> bool {
        match self {
            Self::HiddenInput { .. }
            | Self::Digest { .. }
            | Self::File { .. }
            | Self::Forwarded { .. }
            | Self::ExitStatus { .. }
            | Self::ExitSignal { .. }
            | Self::ChannelClosed { .. }
            | Self::Note { .. } => true,
            Self::ChannelOpened { .. }
            | Self::Terminal { .. }
            | Self::Data { .. }
            | Self::Input { .. }
            | Self::Resize { .. }
            | Self::Signal { .. }
            | Self::Environment { .. }
            | Self::Decided { .. }
            | Self::Exchange { .. } => false,
        }
    }
}

/// One thing that happened in a session, as it is read back. The variants are those of [`Frame`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and fields are those of `Frame`")]
pub enum Kept {
    ChannelOpened { channel: u32, action: Action, decision: DecisionFacts },
    Terminal { channel: u32, term: String, columns: u32, rows: u32 },
    Data { channel: u32, stream: Stream, data: Vec<u8> },
    Input { channel: u32, bytes: u64 },
    HiddenInput { channel: u32, bytes: u64 },
    Digest { channel: u32, stream: Stream, bytes: u64, kept: u64, sha256: [u8; 32] },
    Resize { channel: u32, columns: u32, rows: u32 },
    Signal { channel: u32, name: String },
    Environment { channel: u32, name: String, value: String, passed: bool },
    Decided { channel: u32, action: Action, decision: DecisionFacts },
    File { channel: u32, event: FileEvent },
    Exchange { channel: u32, exchange: Box<Exchange> },
    Forwarded { channel: u32, destination: String, bytes_in: u64, bytes_out: u64 },
    ExitStatus { channel: u32, status: u32 },
    ExitSignal { channel: u32, name: String, message: String },
    ChannelClosed { channel: u32, outcome: Outcome },
    Note { text: String },
}

impl Kept {
    /// The channel it is about; a note is about all.
    pub fn channel(&self) -> Option<u32> {
        match self {
            Self::ChannelOpened { channel, .. }
            | Self::Terminal { channel, .. }
            | Self::Data { channel, .. }
            | Self::Input { channel, .. }
            | Self::HiddenInput { channel, .. }
            | Self::Digest { channel, .. }
            | Self::Resize { channel, .. }
            | Self::Signal { channel, .. }
            | Self::Environment { channel, .. }
            | Self::Decided { channel, .. }
            | Self::File { channel, .. }
            | Self::Exchange { channel, .. }
            | Self::Forwarded { channel, .. }
            | Self::ExitStatus { channel, .. }
            | Self::ExitSignal { channel, .. }
            | Self::ChannelClosed { channel, .. } => Some(*channel),
            Self::Note { .. } => None,
        }
    }
}

/// The JSON of frames that hold an action and its decision.
#[derive(serde::Serialize)]
struct DecidedOut<'a> {
    action: &'a Action,
    decision: &'a DecisionFacts,
}

#[derive(serde::Deserialize)]
struct DecidedIn {
    action: Action,
    decision: DecisionFacts,
}

/// Appends a frame that happened `delta` nanoseconds after its block's time.
///
/// # Errors
/// A frame of 4 GiB or more.
pub fn encode_frame(out: &mut Vec<u8>, delta: u64, frame: &Frame<'_>) -> Result<(), FormatError> {
    out.push(kind_of(frame));
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    put_varint(out, delta);
    encode_body(out, frame)?;
    let length = u32::try_from(out.len() - length_at - 4).map_err(|_| odd("a frame is too long"))?;
    for (to, from) in out.iter_mut().skip(length_at).zip(length.to_le_bytes()) {
        *to = from;
    }
    Ok(())
}

fn kind_of(frame: &Frame<'_>) -> u8 {
    match frame {
        Frame::ChannelOpened { .. } => 1,
        Frame::Terminal { .. } => 2,
        Frame::Data { .. } => 3,
        Frame::HiddenInput { .. } => 4,
        Frame::Digest { .. } => 5,
        Frame::Resize { .. } => 6,
        Frame::Signal { .. } => 7,
        Frame::Environment { .. } => 8,
        Frame::Decided { .. } => 9,
        Frame::File { .. } => 10,
        Frame::Forwarded { .. } => 11,
        Frame::ExitStatus { .. } => 12,
        Frame::ExitSignal { .. } => 13,
        Frame::ChannelClosed { .. } => 14,
        Frame::Note { .. } => 15,
        Frame::Input { .. } => 16,
        Frame::Exchange { .. } => 20,
    }
}

fn encode_body(out: &mut Vec<u8>, frame: &Frame<'_>) -> Result<(), FormatError> {
    let text = |out: &mut Vec<u8>, text: &str| {
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    };
    match *frame {
        Frame::ChannelOpened { channel, action, decision } | Frame::Decided { channel, action, decision } => {
            put_varint(out, channel.into());
            json(out, &DecidedOut { action, decision })?;
        }
        Frame::Terminal { channel, term, columns, rows } => {
            put_numbers(out, &[channel.into(), columns.into(), rows.into()]);
            text(out, term);
        }
        Frame::Data { channel, stream, data } => {
            put_varint(out, channel.into());
            out.push(stream_byte(stream));
            out.extend_from_slice(data);
        }
        Frame::Input { channel, bytes } | Frame::HiddenInput { channel, bytes } => {
            put_numbers(out, &[channel.into(), bytes]);
        }
        Frame::Digest { channel, stream, bytes, kept, sha256 } => {
            put_varint(out, channel.into());
            out.push(stream_byte(stream));
            put_numbers(out, &[bytes, kept]);
            out.extend_from_slice(&sha256);
        }
        Frame::Resize { channel, columns, rows } => put_numbers(out, &[channel.into(), columns.into(), rows.into()]),
        Frame::Signal { channel, name } => {
            put_varint(out, channel.into());
            text(out, name);
        }
        Frame::Environment { channel, name, value, passed } => {
            put_varint(out, channel.into());
            out.push(passed.into());
            text(out, name);
            text(out, value);
        }
        Frame::File { channel, event } => {
            put_varint(out, channel.into());
            json(out, event)?;
        }
        Frame::Forwarded { channel, destination, bytes_in, bytes_out } => {
            put_numbers(out, &[channel.into(), bytes_in, bytes_out]);
            text(out, destination);
        }
        Frame::Exchange { channel, exchange } => {
            put_varint(out, channel.into());
            json(out, exchange)?;
        }
        Frame::ExitStatus { channel, status } => put_numbers(out, &[channel.into(), status.into()]),
        Frame::ExitSignal { channel, name, message } => {
            put_varint(out, channel.into());
            text(out, name);
            text(out, message);
        }
        Frame::ChannelClosed { channel, outcome } => {
            put_varint(out, channel.into());
            json(out, &outcome)?;
        }
        Frame::Note { text: note } => text(out, note),
    }
    Ok(())
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        put_varint(out, *number);
    }
}

fn json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), FormatError> {
    serde_json::to_writer(out, value).map_err(|_| odd("a frame has no text form"))
}

fn stream_byte(stream: Stream) -> u8 {
    match stream {
        Stream::Input => 0,
        Stream::Output => 1,
        Stream::Error => 2,
    }
}

/// Takes the next frame from the front of an unpacked payload; `None` at its end.
///
/// # Errors
/// Anything that [`encode_frame`] does not write.
pub fn decode_frame(payload: &mut &[u8]) -> Result<Option<(u64, Kept)>, FormatError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let mut take = Take(payload);
    let [kind] = take.array()?;
    let length = usize::try_from(u32::from_le_bytes(take.array()?)).map_err(|_| odd("a frame is too long"))?;
    let mut body = Take(take.bytes(length)?);
    let delta = body.varint()?;
    let frame = decode_body(kind, &mut body)?;
    if !body.0.is_empty() {
        return Err(odd("a frame is longer than what it says"));
    }
    *payload = take.0;
    Ok(Some((delta, frame)))
}

fn decode_body(kind: u8, body: &mut Take<'_>) -> Result<Kept, FormatError> {
    if kind == 15 {
        return Ok(Kept::Note { text: body.text()?.to_owned() });
    }
    let channel = body.number()?;
    Ok(match kind {
        1 | 9 => {
            let DecidedIn { action, decision } = from_json(body)?;
            if kind == 1 {
                Kept::ChannelOpened { channel, action, decision }
            } else {
                Kept::Decided { channel, action, decision }
            }
        }
        2 => {
            let (columns, rows) = (body.number()?, body.number()?);
            Kept::Terminal { channel, term: body.text()?.to_owned(), columns, rows }
        }
        3 => Kept::Data { channel, stream: stream(body)?, data: std::mem::take(&mut body.0).to_vec() },
        4 => Kept::HiddenInput { channel, bytes: body.varint()? },
        5 => {
            let stream = stream(body)?;
            Kept::Digest { channel, stream, bytes: body.varint()?, kept: body.varint()?, sha256: body.array()? }
        }
        6 => Kept::Resize { channel, columns: body.number()?, rows: body.number()? },
        7 => Kept::Signal { channel, name: body.text()?.to_owned() },
        8 => {
            let passed = match body.array()? {
                [0] => false,
                [1] => true,
                _ => return Err(odd("a yes or no is neither")),
            };
            Kept::Environment { channel, name: body.text()?.to_owned(), value: body.text()?.to_owned(), passed }
        }
        10 => Kept::File { channel, event: from_json(body)? },
        11 => {
            let (bytes_in, bytes_out) = (body.varint()?, body.varint()?);
            Kept::Forwarded { channel, destination: body.text()?.to_owned(), bytes_in, bytes_out }
        }
        12 => Kept::ExitStatus { channel, status: body.number()? },
        13 => Kept::ExitSignal { channel, name: body.text()?.to_owned(), message: body.text()?.to_owned() },
        14 => Kept::ChannelClosed { channel, outcome: from_json(body)? },
        16 => Kept::Input { channel, bytes: body.varint()? },
        20 => Kept::Exchange { channel, exchange: Box::new(from_json(body)?) },
        _ => return Err(odd("a frame of no known kind")),
    })
}

fn stream(body: &mut Take<'_>) -> Result<Stream, FormatError> {
    match body.array()? {
        [0] => Ok(Stream::Input),
        [1] => Ok(Stream::Output),
        [2] => Ok(Stream::Error),
        _ => Err(odd("a stream of no known kind")),
    }
}

fn from_json<T: serde::de::DeserializeOwned>(body: &mut Take<'_>) -> Result<T, FormatError> {
    serde_json::from_slice(std::mem::take(&mut body.0)).map_err(|_| odd("the text of a frame cannot be read"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::domain::{Effect, Reason, Revision, RuleRef, Verb};

    use super::*;

    fn one_of_each(channel: u32, text: &str, bytes: &[u8], n: u64) -> Vec<(Kept, Vec<u8>)> {
        let action = Action::new(Verb::SshExec, text);
        let rule = RuleRef { file: "policy.csv".to_owned(), line: 7, text: text.to_owned() };
        let decision = DecisionFacts {
            effect: Effect::Deny,
            rule: Some(rule),
            reason: Reason::Obligation(text.to_owned()),
            revision: Revision::new("00".to_owned()),
        };
        let event = FileEvent {
            action: action.clone(),
            to: None,
            succeeded: Some(true),
            size: Some(n),
            sha256: Some(text.to_owned()),
        };
        let (narrow, flag) = ((n >> 32) as u32, n.is_multiple_of(2));
        let text_owned = text.to_owned();
        let mut out = Vec::new();
        macro_rules! pair {
            ($kept:expr, $frame:expr) => {{
                let mut bytes = Vec::new();
                encode_frame(&mut bytes, n, &$frame).unwrap();
                out.push(($kept, bytes));
            }};
        }
        pair!(
            Kept::ChannelOpened { channel, action: action.clone(), decision: decision.clone() },
            Frame::ChannelOpened { channel, action: &action, decision: &decision }
        );
        pair!(
            Kept::Decided { channel, action: action.clone(), decision: decision.clone() },
            Frame::Decided { channel, action: &action, decision: &decision }
        );
        pair!(
            Kept::Terminal { channel, term: text_owned.clone(), columns: narrow, rows: 1 },
            Frame::Terminal { channel, term: text, columns: narrow, rows: 1 }
        );
        pair!(
            Kept::Data { channel, stream: Stream::Error, data: bytes.to_vec() },
            Frame::Data { channel, stream: Stream::Error, data: bytes }
        );
        pair!(Kept::Input { channel, bytes: n }, Frame::Input { channel, bytes: n });
        pair!(Kept::HiddenInput { channel, bytes: n }, Frame::HiddenInput { channel, bytes: n });
        pair!(
            Kept::Digest { channel, stream: Stream::Input, bytes: n, kept: 3, sha256: [9; 32] },
            Frame::Digest { channel, stream: Stream::Input, bytes: n, kept: 3, sha256: [9; 32] }
        );
        pair!(Kept::Resize { channel, columns: narrow, rows: 2 }, Frame::Resize { channel, columns: narrow, rows: 2 });
        pair!(Kept::Signal { channel, name: text_owned.clone() }, Frame::Signal { channel, name: text });
        pair!(
            Kept::Environment { channel, name: text_owned.clone(), value: "v".to_owned(), passed: flag },
            Frame::Environment { channel, name: text, value: "v", passed: flag }
        );
        pair!(Kept::File { channel, event: event.clone() }, Frame::File { channel, event: &event });
        let exchange = Exchange {
            number: n,
            part: super::super::Part::Reply,
            what: text_owned.clone(),
            status: Some(text_owned.clone()),
            peer_id: None,
            bytes: n,
            sha256: None,
            body: Some(text_owned.clone()),
            cut: flag,
        };
        pair!(
            Kept::Exchange { channel, exchange: Box::new(exchange.clone()) },
            Frame::Exchange { channel, exchange: &exchange }
        );
        pair!(
            Kept::Forwarded { channel, destination: text_owned.clone(), bytes_in: n, bytes_out: 0 },
            Frame::Forwarded { channel, destination: text, bytes_in: n, bytes_out: 0 }
        );
        pair!(Kept::ExitStatus { channel, status: narrow }, Frame::ExitStatus { channel, status: narrow });
        pair!(
            Kept::ExitSignal { channel, name: text_owned.clone(), message: String::new() },
            Frame::ExitSignal { channel, name: text, message: "" }
        );
        pair!(
            Kept::ChannelClosed { channel, outcome: Outcome::Idle },
            Frame::ChannelClosed { channel, outcome: Outcome::Idle }
        );
        pair!(Kept::Note { text: text_owned.clone() }, Frame::Note { text });
        out
    }

    proptest! {
        #[test]
        fn frames_come_back(channel: u32, text in "\\PC{0,40}", bytes: Vec<u8>, n: u64) {
            let mut payload = Vec::new();
            let frames = one_of_each(channel, &text, &bytes, n);
            for (_, encoded) in &frames {
                payload.extend_from_slice(encoded);
            }
            let mut rest = payload.as_slice();
            for (kept, _) in frames {
                prop_assert_eq!(decode_frame(&mut rest), Ok(Some((n, kept))));
            }
            prop_assert_eq!(decode_frame(&mut rest), Ok(None));
        }

        #[test]
        fn cut_frames_are_refused(cut in 0usize..4096) {
            for (kept, encoded) in one_of_each(3, "show version", b"x\0", 70_000) {
                let cut = 1 + cut % (encoded.len() - 1);
                prop_assert!(decode_frame(&mut &encoded[..cut]).is_err(), "{kept:?} at {cut}");
            }
        }

        #[test]
        fn no_bytes_upset_the_decoder(kind in 0u8..24, body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(&body);
            // Most are refused; what is taken has used up its bytes.
            let mut rest = bytes.as_slice();
            if decode_frame(&mut rest).is_ok() {
                prop_assert!(rest.is_empty());
            }
        }
    }
}
