//! How the bytes of one channel are understood and recorded: a terminal, plain content, or a file transfer.

use bytes::{Bytes, BytesMut};

use super::actions::{Understood, Wanted};
use super::bulk::{Bulk, Counted, Told};
use super::echo::{Echo, Typed};
use super::inspect::{Ask, Flow, Inspect};
use super::prompt::Dialogue;
use super::queue::Queue;
use super::scp::ScpInspector;
use super::sftp::SftpInspector;
use crate::access::{Limits, Refusal, Session};
use crate::domain::{Action, Outcome};
use crate::recording::{Frame, Stream};

/// What may go on.
#[derive(Debug, Default)]
pub(super) struct Onward {
    pub(super) to_element: Bytes,
    pub(super) to_client: Bytes,
}

/// The recording side of a channel. Every byte passes here before it is forwarded.
pub(super) struct Tape {
    channel: u32,
    kind: Kind,
    keeping: Keeping,
    error: Bulk,
}

/// How much is kept of a channel without a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeping {
    bytes_max: u64,
    input: KeptInput,
}

/// What is kept of such a channel's input.
#[derive(Debug, Clone, Copy)]
enum KeptInput {
    /// All of it: requests of a subsystem.
    All,
    /// Lines that are no secret.
    Lines,
    /// Its length and digest: what is piped into a command is as likely a secret as not, and nothing tells which.
    Digest,
}

impl Keeping {
    pub(super) fn of(wanted: &Wanted, limits: &Limits) -> Self {
        let bytes_max = limits.bulk_kept_bytes_max;
        match wanted {
            // What is typed into a shell is never bulk content, whether or not there is a terminal.
            Wanted::Shell => Self { bytes_max: u64::MAX, input: KeptInput::Lines },
            Wanted::Exec(_) if limits.exec_input_kept => Self { bytes_max, input: KeptInput::Lines },
            Wanted::Exec(_) => Self { bytes_max, input: KeptInput::Digest },
            Wanted::Subsystem(_) => Self { bytes_max, input: KeptInput::All },
        }
    }

    /// Nothing is kept: of forwards only bytes are counted.
    const NOTHING: Self = Self { bytes_max: 0, input: KeptInput::Digest };

    fn content(self) -> Kind {
        let input = match self.input {
            KeptInput::All => Input::All(Bulk::new(self.bytes_max)),
            KeptInput::Lines => Input::Lines(Bulk::new(self.bytes_max), Dialogue::default()),
            KeptInput::Digest => Input::Digest(Counted::new()),
        };
        Kind::Content { input, output: Bulk::new(self.bytes_max) }
    }
}

enum Kind {
    Terminal(Echo),
    Content {
        input: Input,
        output: Bulk,
    },
    /// The files are events with digests of their own; of the stream the beginning of each direction is kept.
    Transfer {
        inspector: Box<dyn Inspect>,
        flow: Flow,
        input: Beginning,
        output: Beginning,
    },
    Forward {
        allowed: Action,
        destination: String,
        bytes_in: u64,
        bytes_out: u64,
        watch_in: Watch,
        watch_out: Watch,
    },
}

/// The input of a channel without a terminal.
enum Input {
    All(Bulk),
    Lines(Bulk, Dialogue),
    Digest(Counted),
}

/// Looks for the identification string of SSH (RFC 4253 §4.2) at the start of a line in a forwarded stream's first bytes.
#[derive(Default)]
struct Watch {
    seen: Vec<u8>,
    /// Nothing is looked for: the stream's own protocol may hold any bytes.
    off: bool,
}

/// An SSH server may send some lines before its identification.
const WATCHED_BYTES: usize = 4 << 10;

impl Watch {
    fn finds_ssh(&mut self, data: &[u8]) -> bool {
        let room = WATCHED_BYTES.saturating_sub(self.seen.len());
        if room == 0 || self.off {
            return false;
        }
        self.seen.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        self.seen.starts_with(b"SSH-") || self.seen.windows(5).any(|w| w == b"\nSSH-")
    }
}

impl Tape {
    pub(super) fn new(channel: u32, understood: Understood, terminal: bool, keeping: Keeping) -> Self {
        let cap = keeping.bytes_max;
        let kind = match understood {
            Understood::Plain if terminal => Kind::Terminal(Echo::default()),
            Understood::Plain => keeping.content(),
            Understood::Sftp => transfer(Box::new(SftpInspector::new(Default::default())), cap),
            Understood::Scp(command) => transfer(Box::new(ScpInspector::new(command, Default::default())), cap),
        };
        Self { channel, kind, keeping, error: Bulk::new(cap) }
    }

    /// The element gives no terminal: nothing will be echoed, and what there is of it is kept as content from here on.
    pub(super) fn without_terminal(&mut self, session: &Session) -> Result<(), Outcome> {
        let Kind::Terminal(echo) = &mut self.kind else { return Ok(()) };
        let channel = self.channel;
        record_typed(session, channel, echo.finish())?;
        let text = format!("channel {channel}: the element gives no terminal; the channel is recorded as one without");
        session.record(&Frame::Note { text: &text })?;
        self.kind = self.keeping.content();
        Ok(())
    }

    /// The tape of a forwarded connection: destination and bytes, and an end to it when it turns out to hide an SSH session, which is not what
    /// was `allowed`.
    pub(super) fn forward(channel: u32, allowed: Action, destination: String) -> Self {
        Self::of_forward(channel, allowed, destination, Watch::default)
    }

    /// The tape of a connection to an agent: destination and bytes, and nothing looked at.
    pub(super) fn counted(channel: u32, allowed: Action, destination: String) -> Self {
        Self::of_forward(channel, allowed, destination, || Watch { off: true, ..Watch::default() })
    }

    fn of_forward(channel: u32, allowed: Action, destination: String, watch: impl Fn() -> Watch) -> Self {
        let (watch_in, watch_out) = (watch(), watch());
        let kind = Kind::Forward { allowed, destination, bytes_in: 0, bytes_out: 0, watch_in, watch_out };
        Self { channel, kind, keeping: Keeping::NOTHING, error: Bulk::new(0) }
    }

    /// Bytes from the client: recorded, and what of them may go on.
    pub(super) fn from_client(&mut self, session: &Session, queue: &Queue, data: Bytes) -> Result<Onward, Outcome> {
        let channel = self.channel;
        session.count_in(data.len());
        match &mut self.kind {
            Kind::Terminal(echo) => {
                session.touch();
                // What it says is known only from the echo; that it was typed is on record before it has any effect.
                session.record(&Frame::Input { channel, bytes: data.len() as u64 })?;
                record_typed(session, channel, echo.typed(&data))?;
                session.stop().requested().map_or(Ok(()), Err)?;
                Ok(Onward { to_element: data, ..Onward::default() })
            }
            Kind::Content { input, .. } => {
                input.take(session, channel, &data)?;
                session.stop().requested().map_or(Ok(()), Err)?;
                Ok(Onward { to_element: data, ..Onward::default() })
            }
            Kind::Transfer { inspector, flow, input, .. } => {
                keep(session, channel, Stream::Input, input.take(&data))?;
                let result = inspector.from_client(&data, &mut Asker { session, channel }, flow);
                let to_client = drain(session, channel, queue, flow, result)?;
                Ok(Onward { to_client, ..Onward::default() })
            }
            Kind::Forward { allowed, bytes_in, watch_in, .. } => {
                watched(session, channel, allowed, watch_in, &data)?;
                *bytes_in = bytes_in.saturating_add(data.len() as u64);
                Ok(Onward { to_element: data, ..Onward::default() })
            }
        }
    }

    /// Bytes from the element: recorded, and what of them may go on. `None` means all of `data`, so that nothing is copied.
    pub(super) fn from_element(
        &mut self,
        session: &Session,
        queue: &Queue,
        error: bool,
        data: &[u8],
    ) -> Result<Option<Bytes>, Outcome> {
        let channel = self.channel;
        session.count_out(data.len());
        if error {
            if let Kind::Content { input, .. } = &mut self.kind {
                input.said(session, channel, data)?;
            }
            keep(session, channel, Stream::Error, self.error.take(data))?;
            return Ok(None);
        }
        match &mut self.kind {
            Kind::Terminal(echo) => {
                record_typed(session, channel, echo.said(data))?;
                session.record(&Frame::Data { channel, stream: Stream::Output, data })?;
                Ok(None)
            }
            Kind::Content { input, output } => {
                input.said(session, channel, data)?;
                keep(session, channel, Stream::Output, output.take(data))?;
                Ok(None)
            }
            Kind::Transfer { inspector, flow, output, .. } => {
                keep(session, channel, Stream::Output, output.take(data))?;
                let result = inspector.from_element(data, &mut Asker { session, channel }, flow);
                drain(session, channel, queue, flow, result).map(Some)
            }
            Kind::Forward { allowed, bytes_out, watch_out, .. } => {
                watched(session, channel, allowed, watch_out, data)?;
                *bytes_out = bytes_out.saturating_add(data.len() as u64);
                Ok(None)
            }
        }
    }

    /// What goes on under earlier decisions.
    pub(super) fn standing(&self) -> Vec<Action> {
        match &self.kind {
            Kind::Transfer { inspector, .. } => inspector.standing(),
            Kind::Terminal(_) | Kind::Content { .. } | Kind::Forward { .. } => Vec::new(),
        }
    }

    /// The channel ends: what was held back is recorded.
    pub(super) fn finish(self, session: &Session) -> Result<(), Outcome> {
        let channel = self.channel;
        match self.kind {
            Kind::Terminal(mut echo) => record_typed(session, channel, echo.finish())?,
            Kind::Content { input, output } => {
                input.finish(session, channel)?;
                total(session, channel, Stream::Output, output)?;
            }
            Kind::Transfer { mut inspector, mut flow, input, output } => {
                inspector.finish(&mut flow);
                record_events(session, channel, &mut flow)?;
                if input.bytes > input.cap || output.bytes > output.cap {
                    let text = format!(
                        "channel {channel}: {} bytes came from the client and {} from the element; the first {} of each are kept, and each file's digest is in its event",
                        input.bytes, output.bytes, input.cap
                    );
                    session.record(&Frame::Note { text: &text })?;
                }
            }
            Kind::Forward { destination, bytes_in, bytes_out, .. } => {
                session.record(&Frame::Forwarded { channel, destination: &destination, bytes_in, bytes_out })?;
            }
        }
        total(session, channel, Stream::Error, self.error)
    }
}

impl Input {
    /// Bytes are to go on: they, or how many there are, are recorded.
    fn take(&mut self, session: &Session, channel: u32, data: &[u8]) -> Result<(), Outcome> {
        match self {
            Self::All(bulk) => keep(session, channel, Stream::Input, bulk.take(data)),
            Self::Lines(bulk, dialogue) => {
                session.touch();
                let kept = bulk.take(data);
                if kept.is_empty() {
                    return Ok(());
                }
                session.record(&Frame::Input { channel, bytes: kept.len() as u64 })?;
                record_typed(session, channel, dialogue.sent(kept))
            }
            Self::Digest(counted) => {
                session.touch();
                counted.take(data).map_or(Ok(()), |bytes| session.record(&Frame::Input { channel, bytes }))
            }
        }
    }

    /// The element says something, on either stream.
    fn said(&mut self, session: &Session, channel: u32, data: &[u8]) -> Result<(), Outcome> {
        match self {
            Self::Lines(_, dialogue) => record_typed(session, channel, dialogue.said(data)),
            Self::All(_) | Self::Digest(_) => Ok(()),
        }
    }

    fn finish(self, session: &Session, channel: u32) -> Result<(), Outcome> {
        let stream = Stream::Input;
        match self {
            Self::All(bulk) => total(session, channel, stream, bulk),
            Self::Lines(bulk, mut dialogue) => {
                record_typed(session, channel, dialogue.finish())?;
                total(session, channel, stream, bulk)
            }
            Self::Digest(counted) => match counted.finish() {
                Some(Told::Length(bytes)) => session.record(&Frame::HiddenInput { channel, bytes }),
                Some(Told::Digest(t)) => {
                    session.record(&Frame::Digest { channel, stream, bytes: t.bytes, kept: t.kept, sha256: t.sha256 })
                }
                None => Ok(()),
            },
        }
    }
}

fn transfer(inspector: Box<dyn Inspect>, cap: u64) -> Kind {
    Kind::Transfer { inspector, flow: Flow::default(), input: Beginning::new(cap), output: Beginning::new(cap) }
}

/// The beginning of a stream, up to a cap.
struct Beginning {
    cap: u64,
    bytes: u64,
}

impl Beginning {
    fn new(cap: u64) -> Self {
        Self { cap, bytes: 0 }
    }

    fn take<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let room = usize::try_from(self.cap.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        data.get(..room.min(data.len())).unwrap_or_default()
    }
}

fn record_typed(session: &Session, channel: u32, typed: Vec<Typed>) -> Result<(), Outcome> {
    typed.into_iter().try_for_each(|typed| match typed {
        Typed::Seen(data) => session.record(&Frame::Data { channel, stream: Stream::Input, data: &data }),
        Typed::Hidden(bytes) => session.record(&Frame::HiddenInput { channel, bytes }),
    })
}

fn watched(session: &Session, channel: u32, allowed: &Action, watch: &mut Watch, data: &[u8]) -> Result<(), Outcome> {
    session.touch();
    if watch.finds_ssh(data) {
        let why = "it carries an SSH session, which would be hidden; it was ended";
        return match session.forbid(channel, allowed, why) {
            Refusal::Denied(_) => Err(Outcome::PolicyDenies),
            Refusal::Unavailable(outcome) => Err(outcome),
        };
    }
    session.stop().requested().map_or(Ok(()), Err)
}

fn keep(session: &Session, channel: u32, stream: Stream, data: &[u8]) -> Result<(), Outcome> {
    if data.is_empty() {
        session.touch();
        return session.stop().requested().map_or(Ok(()), Err);
    }
    session.record(&Frame::Data { channel, stream, data })
}

fn total(session: &Session, channel: u32, stream: Stream, bulk: Bulk) -> Result<(), Outcome> {
    match bulk.finish() {
        Some(t) => session.record(&Frame::Digest { channel, stream, bytes: t.bytes, kept: t.kept, sha256: t.sha256 }),
        None => Ok(()),
    }
}

/// What an inspector let out: for the element into the queue, in the order of inspection; for the client as the answer.
fn drain(
    session: &Session,
    channel: u32,
    queue: &Queue,
    flow: &mut Flow,
    result: Result<(), super::inspect::InspectError>,
) -> Result<Bytes, Outcome> {
    session.touch();
    record_events(session, channel, flow)?;
    if let Err(error) = result {
        session.record(&Frame::Note { text: &format!("channel {channel}: the file transfer was ended: {error}") })?;
        return Err(Outcome::ProtocolError);
    }
    if let Some(outcome) = session.stop().requested() {
        return Err(outcome);
    }
    let take = |bytes: &mut BytesMut| std::mem::take(bytes).freeze();
    if !queue.push_made(take(&mut flow.to_element)) {
        let text = format!("channel {channel}: the file transfer was ended: the element does not read its answers");
        session.record(&Frame::Note { text: &text })?;
        return Err(Outcome::ProtocolError);
    }
    Ok(take(&mut flow.to_client))
}

fn record_events(session: &Session, channel: u32, flow: &mut Flow) -> Result<(), Outcome> {
    for event in flow.events.drain(..) {
        session.record(&Frame::File { channel, event: &event })?;
    }
    Ok(())
}

/// Asks the session for an inspector.
struct Asker<'s> {
    session: &'s Session,
    channel: u32,
}

impl Ask for Asker<'_> {
    fn allow(&mut self, action: &Action) -> Result<(), String> {
        self.session.allow(self.channel, action).map_err(|refusal| refusal.message())
    }
}
