//! Recordings in the forms that other tools read: asciicast v2, plain text, JSON Lines.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::domain::plain::escaped_json;

use super::frame::{Kept, Stream};
use super::reader::{Item, Reader, Stamped};
use super::tame::Tame;
use super::text::{PlainText, Utf8};

/// The terminal of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its kind.
    pub term: String,
    /// Its width.
    pub columns: u32,
    /// Its height.
    pub rows: u32,
}

/// The channel that a form with room for one shows, and its terminal if it has one.
///
/// That is the one asked for, else the first with a terminal, else the first that bytes passed on.
///
/// # Errors
/// A file that cannot be read.
pub fn shown_channel(reader: &mut Reader, asked: Option<u32>) -> io::Result<Option<(u32, Option<Terminal>)>> {
    let mut first = None;
    while let Some(item) = reader.next_item()? {
        let Item::Frame(Stamped { frame, .. }) = item else { continue };
        match frame {
            Kept::Terminal { channel, term, columns, rows } if asked.is_none_or(|c| c == channel) => {
                return Ok(Some((channel, Some(Terminal { term, columns, rows }))));
            }
            Kept::Data { channel, .. } if asked.is_none_or(|c| c == channel) => first = first.or(Some(channel)),
            _ => {}
        }
    }
    Ok(first.map(|channel| (channel, None)))
}

/// What a player writes to its terminal: all of it, or what only shows something.
enum Screen {
    All(Utf8),
    Tame(Tame),
}

impl Screen {
    fn of(raw: bool) -> Self {
        if raw { Self::All(Utf8::default()) } else { Self::Tame(Tame::default()) }
    }

    fn push(&mut self, data: &[u8]) -> String {
        match self {
            Self::All(text) => text.push(data),
            Self::Tame(tame) => {
                let mut out = String::new();
                tame.push(data, &mut out);
                out
            }
        }
    }
}

/// Writes asciicast v2 (<https://docs.asciinema.org/manual/asciicast/v2/>): output, input, resizes, and decided commands as markers. Of the output
/// only what may be shown on another terminal (see [`super::tame`]), unless it is to be `raw`: players write it to theirs as it is.
///
/// # Errors
/// A file that cannot be read or written; damage goes to `damage`.
pub fn cast(
    reader: &mut Reader,
    channel: u32,
    terminal: Option<&Terminal>,
    raw: bool,
    out: &mut dyn Write,
    damage: &mut dyn FnMut(&Item),
) -> io::Result<()> {
    let facts = reader.facts();
    let opened_at = facts.opened_at;
    let title = format!("{} on {} ({})", facts.request.identity.name(), facts.request.element, facts.session);
    let (columns, rows) = terminal.map_or((80, 24), |t| (t.columns.max(1), t.rows.max(1)));
    let mut header =
        json!({ "version": 2, "width": columns, "height": rows, "timestamp": opened_at.as_secs(), "title": title });
    if let (Some(terminal), Some(header)) = (terminal, header.as_object_mut()) {
        header.insert("env".to_owned(), json!({ "TERM": terminal.term }));
    }
    writeln!(out, "{}", escaped_json(&header.to_string()))?;
    let (mut shown, mut typed) = (Screen::of(raw), Utf8::default());
    while let Some(item) = reader.next_item()? {
        let Item::Frame(Stamped { at, frame, .. }) = item else {
            damage(&item);
            continue;
        };
        if frame.channel() != Some(channel) {
            continue;
        }
        let event = match frame {
            Kept::Data { stream: Stream::Input, data, .. } => Some(("i", typed.push(&data))),
            Kept::Data { data, .. } => {
                let text = shown.push(&data);
                // Without a terminal nothing has made line ends of line feeds.
                Some(("o", if terminal.is_some() { text } else { text.replace('\n', "\r\n") }))
            }
            Kept::Resize { columns, rows, .. } => Some(("r", format!("{columns}x{rows}"))),
            Kept::Decided { action, decision, .. } => Some(("m", format!("{}: {action}", effect(decision.effect)))),
            _ => None,
        };
        if let Some((code, text)) = event.filter(|(_, text)| !text.is_empty()) {
            writeln!(out, "{}", escaped_json(&json!([seconds(opened_at, at), code, text]).to_string()))?;
        }
    }
    Ok(())
}

/// Writes what a channel showed, as lines of plain text.
///
/// # Errors
/// A file that cannot be read or written; damage goes to `damage`.
pub fn text(reader: &mut Reader, channel: u32, out: &mut dyn Write, damage: &mut dyn FnMut(&Item)) -> io::Result<()> {
    let (mut plain, mut lines) = (PlainText::default(), String::new());
    while let Some(item) = reader.next_item()? {
        let Item::Frame(Stamped { frame, .. }) = item else {
            damage(&item);
            continue;
        };
        match frame {
            Kept::Data { channel: of, stream: Stream::Output | Stream::Error, data } if of == channel => {
                plain.push(&data, &mut lines)
            }
            _ => continue,
        }
        out.write_all(lines.as_bytes())?;
        lines.clear();
    }
    plain.finish(&mut lines);
    out.write_all(lines.as_bytes())
}

/// Writes every frame of the channel, or of all, as one JSON object a line, as `view` shows it.
///
/// # Errors
/// A file that cannot be read or written; damage goes to `damage`.
pub fn jsonl(
    reader: &mut Reader,
    channel: Option<u32>,
    view: &dyn Fn(Kept) -> Kept,
    out: &mut dyn Write,
    damage: &mut dyn FnMut(&Item),
) -> io::Result<()> {
    let opened_at = reader.facts().opened_at;
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Frame(frame)
                if channel.is_none() || frame.frame.channel().is_none() || frame.frame.channel() == channel =>
            {
                let frame = Stamped { frame: view(frame.frame), ..frame };
                writeln!(out, "{}", escaped_json(&object(&frame, opened_at).to_string()))?;
            }
            Item::Frame(_) => {}
            _ => damage(&item),
        }
    }
    Ok(())
}

/// A frame as a JSON object.
pub fn object(frame: &Stamped, opened_at: Timestamp) -> Value {
    let mut object = match &frame.frame {
        Kept::ChannelOpened { channel, action, decision } => {
            json!({ "frame": "channel-opened", "channel": channel, "action": action, "decision": decision })
        }
        Kept::Terminal { channel, term, columns, rows } => {
            json!({ "frame": "terminal", "channel": channel, "term": term, "columns": columns, "rows": rows })
        }
        Kept::Data { channel, stream, data } => match std::str::from_utf8(data) {
            Ok(text) => json!({ "frame": "data", "channel": channel, "stream": stream, "text": text }),
            Err(_) => json!({ "frame": "data", "channel": channel, "stream": stream, "base64": STANDARD.encode(data) }),
        },
        Kept::Input { channel, bytes } => json!({ "frame": "input", "channel": channel, "bytes": bytes }),
        Kept::HiddenInput { channel, bytes } => json!({ "frame": "hidden-input", "channel": channel, "bytes": bytes }),
        Kept::Digest { channel, stream, bytes, kept, sha256 } => {
            json!({ "frame": "digest", "channel": channel, "stream": stream, "bytes": bytes, "kept": kept, "sha256": HEXLOWER.encode(sha256) })
        }
        Kept::Resize { channel, columns, rows } => {
            json!({ "frame": "resize", "channel": channel, "columns": columns, "rows": rows })
        }
        Kept::Signal { channel, name } => json!({ "frame": "signal", "channel": channel, "name": name }),
        Kept::Environment { channel, name, value, passed } => {
            json!({ "frame": "environment", "channel": channel, "name": name, "value": value, "passed": passed })
        }
        Kept::Decided { channel, action, decision } => {
            json!({ "frame": "decided", "channel": channel, "action": action, "decision": decision })
        }
        Kept::File { channel, event } => json!({ "frame": "file", "channel": channel, "event": event }),
        Kept::Exchange { channel, exchange } => {
            json!({ "frame": "exchange", "channel": channel, "exchange": exchange })
        }
        Kept::Forwarded { channel, destination, bytes_in, bytes_out } => {
            json!({ "frame": "forwarded", "channel": channel, "destination": destination, "bytes_in": bytes_in, "bytes_out": bytes_out })
        }
        Kept::ExitStatus { channel, status } => json!({ "frame": "exit-status", "channel": channel, "status": status }),
        Kept::ExitSignal { channel, name, message } => {
            json!({ "frame": "exit-signal", "channel": channel, "name": name, "message": message })
        }
        Kept::ChannelClosed { channel, outcome } => {
            json!({ "frame": "channel-closed", "channel": channel, "outcome": outcome })
        }
        Kept::Note { text } => json!({ "frame": "note", "text": text }),
    };
    if let Some(fields) = object.as_object_mut() {
        fields.insert("seq".to_owned(), json!(frame.seq));
        fields.insert("at".to_owned(), json!(frame.at));
        fields.insert("t".to_owned(), json!(seconds(opened_at, frame.at)));
    }
    object
}

/// Seconds since the opening, to the microsecond.
fn seconds(opened_at: Timestamp, at: Timestamp) -> f64 {
    (at.since(opened_at).as_secs_f64() * 1e6).round() / 1e6
}

fn effect(effect: crate::domain::Effect) -> &'static str {
    match effect {
        crate::domain::Effect::Allow => "allow",
        crate::domain::Effect::Deny => "deny",
    }
}

#[cfg(test)]
mod tests {
    use super::super::lab::{Lab, PLAYED, at, play};
    use super::super::{Frame, Recorder};
    use super::*;
    use crate::domain::Outcome;

    fn exported(fill: impl Fn(&Recorder), write: impl Fn(&mut Reader, &mut Vec<u8>)) -> String {
        let lab = Lab::new();
        let recorder = lab.create(1);
        fill(&recorder);
        recorder.seal(at(9_000), Outcome::ClientClosed).unwrap();
        let mut out = Vec::new();
        write(&mut Reader::open(&lab.path(1)).unwrap().unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cast_has_size_times_and_whole_characters() {
        let euro = |recorder: &Recorder| {
            play(recorder);
            for piece in [&b"\xe2\x82"[..], b"\xac", b"\xff"] {
                recorder.write(at(3_000), &Frame::Data { channel: 0, stream: Stream::Output, data: piece }).unwrap();
            }
            recorder.write(at(4_000), &Frame::Data { channel: 7, stream: Stream::Output, data: b"elsewhere" }).unwrap();
        };
        let cast = exported(euro, |reader, out| {
            let terminal = Terminal { term: "xterm".to_owned(), columns: 80, rows: 24 };
            cast(reader, 0, Some(&terminal), false, out, &mut |_| {}).unwrap();
        });
        let lines: Vec<Value> = cast.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(
            (lines[0]["version"].as_u64(), lines[0]["width"].as_u64(), lines[0]["env"]["TERM"].as_str()),
            (Some(2), Some(80), Some("xterm"))
        );
        assert_eq!(lines[1], json!([0.5, "o", "core-rtr-1# "]));
        assert_eq!(lines[2], json!([0.75, "i", "show version\r"]));
        assert_eq!(lines[3], json!([1.0, "m", "allow: ssh.exec show version"]));
        assert_eq!(lines[5], json!([1.5, "r", "120x40"]));
        assert_eq!(lines[6..], [json!([3.0, "o", "\u{20ac}"]), json!([3.0, "o", "\u{fffd}"])]);
    }

    #[test]
    fn text_is_plain_and_json_lines_are_complete() {
        let shown = exported(play, |reader, out| text(reader, 0, out, &mut |_| {}).unwrap());
        assert!(shown.starts_with("core-rtr-1# Interface          Status  Protocol\nInterface"), "{shown}");
        let lines = exported(play, |reader, out| jsonl(reader, None, &|frame| frame, out, &mut |_| {}).unwrap());
        let frames: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(frames.len() as u64, PLAYED);
        assert_eq!(
            (&frames[3]["text"], &frames[3]["stream"], &frames[3]["t"]),
            (&json!("show version\r"), &json!("input"), &json!(0.75))
        );
        assert_eq!(exported(play, |reader, out| jsonl(reader, Some(9), &|frame| frame, out, &mut |_| {}).unwrap()), "");
    }

    #[test]
    fn the_channel_with_a_terminal_is_shown() {
        let lab = Lab::new();
        let recorder = lab.create(1);
        recorder.write(at(0), &Frame::Data { channel: 4, stream: Stream::Output, data: b"x" }).unwrap();
        let open = || Reader::open(&lab.path(1)).unwrap().unwrap();
        assert_eq!(shown_channel(&mut open(), None).unwrap(), Some((4, None)));
        play(&recorder);
        let (channel, terminal) = shown_channel(&mut open(), None).unwrap().unwrap();
        assert_eq!((channel, terminal.unwrap().columns), (0, 80));
        assert_eq!(shown_channel(&mut open(), Some(4)).unwrap(), Some((4, None)));
        assert_eq!(shown_channel(&mut open(), Some(5)).unwrap(), None);
    }
}
