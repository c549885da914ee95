//! `sallyport replay`: shows a recording as it went.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::domain::plain::{escaped, one_line};
use crate::domain::{Action, Effect, Timestamp, Verb};
use crate::recording::reader::{Item, Stamped};
use crate::recording::tame::{RESET, Tame};
use crate::recording::text::PlainText;
use crate::recording::{Exchange, Kept, Part, Stream, export};

use super::data::{Data, Out, Source, open_recording, unreadable, unwritable};
use super::export::{refuse_damage, tell_damage};
use super::mask::View;
use super::{Exit, Failure};

/// Show a recording as it went
///
/// A terminal session plays with its own timing. A session without one is told as a timeline of commands, decisions and file operations.
/// Of what the engineer's terminal got, yours gets what shows something: no titles, no clipboard, nothing that it would answer. --raw lets all of it
/// through, --safe nothing but text.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The session's id, or the beginning of it.
    #[arg(value_name = "ID")]
    id: String,
    /// Play so many times as fast.
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// Wait no longer than this where nothing happened, such as 2s.
    #[arg(long, value_name = "SPAN", value_parser = crate::domain::parse_duration)]
    idle_limit: Option<Duration>,
    /// Begin at this time into the session: seconds, MM:SS or HH:MM:SS. What the terminal showed by then is shown at once.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    jump: Option<Duration>,
    /// The channel, when a session has several. By default the first with a terminal.
    #[arg(long)]
    channel: Option<u32>,
    /// Show lines of plain text: no recorded byte controls your terminal.
    #[arg(long)]
    safe: bool,
    /// Write the recorded bytes as they are: they can do to your terminal whatever it lets them.
    #[arg(long, conflicts_with_all = ["safe", "text", "timeline"])]
    raw: bool,
    /// As --safe, and all at once.
    #[arg(long, conflicts_with_all = ["speed", "idle_limit", "jump"])]
    text: bool,
    /// Tell the timeline of a terminal session, too.
    #[arg(long, conflicts_with_all = ["safe", "text"])]
    timeline: bool,
    /// Show passwords, keys and other secrets in messages of the management plane: decided by policy as gateway.replay-unmasked.
    #[arg(long)]
    unmasked: bool,
    /// Show what survives of a damaged recording.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    args.source.with(|data| replay(data, &args))
}

fn replay(data: &Data<'_>, args: &Args) -> Result<(), Failure> {
    let row = data.session(&args.id)?;
    let id = row.facts.session;
    (data.authorise)(&Action::new(Verb::GatewayReplay, id.to_string()))?;
    let path = data.recording(&row);
    refuse_damage(&path, args.force)?;
    let view = data.begin_reading(id, "replay", args.unmasked)?;
    let shown = export::shown_channel(&mut open_recording(&path)?, args.channel).map_err(|e| unreadable(&path, &e))?;
    let mut out = Out::stdout();
    match shown {
        Some((channel, _)) if args.text => {
            let mut reader = open_recording(&path)?;
            export::text(&mut reader, channel, &mut out, &mut tell_damage)
                .and_then(|()| out.flush())
                .map_err(unwritable)
        }
        Some((channel, terminal)) if !args.timeline && (terminal.is_some() || args.channel.is_some()) => {
            play(&path, channel, args, &mut out)
        }
        _ => timeline(&path, args.channel, &view, &mut out),
    }
}

/// Plays what one channel showed.
fn play(path: &Path, channel: u32, args: &Args, out: &mut Out) -> Result<(), Failure> {
    let mut reader = open_recording(path)?;
    let begin = reader.facts().opened_at.plus(args.jump.unwrap_or_default());
    let (mut now, mut plain, mut tame, mut lines) = (begin, PlainText::default(), Tame::default(), String::new());
    while let Some(item) = reader.next_item().map_err(|e| unreadable(path, &e))? {
        let Item::Frame(Stamped { at, frame, .. }) = item else {
            tell_damage(&item);
            continue;
        };
        let Kept::Data { channel: of, stream: Stream::Output | Stream::Error, data } = frame else { continue };
        if of != channel {
            continue;
        }
        let pause = at.since(now).div_f64(args.speed);
        let pause = args.idle_limit.map_or(pause, |limit| pause.min(limit));
        if !pause.is_zero() {
            out.flush().map_err(unwritable)?;
            std::thread::sleep(pause);
        }
        now = at.max(begin);
        let written = if args.raw {
            out.write_all(&data)
        } else {
            if args.safe {
                plain.push(&data, &mut lines)
            } else {
                tame.push(&data, &mut lines)
            }
            out.write_all(std::mem::take(&mut lines).as_bytes())
        };
        written.map_err(unwritable)?;
    }
    plain.finish(&mut lines);
    if !args.safe && io::IsTerminal::is_terminal(&io::stdout()) {
        // The session may have ended with colours, another screen or a hidden cursor on.
        lines.push_str(RESET);
    }
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).map_err(unwritable)
}

/// Tells what happened, a line each.
pub(super) fn timeline(path: &Path, channel: Option<u32>, view: &View, out: &mut Out) -> Result<(), Failure> {
    let mut reader = open_recording(path)?;
    let opened_at = reader.facts().opened_at;
    let (mut last, mut moved) = (None, (0u64, 0u64));
    while let Some(item) = reader.next_item().map_err(|e| unreadable(path, &e))? {
        match &view.item(item) {
            Item::Frame(frame)
                if channel.is_some() && frame.frame.channel().is_some() && frame.frame.channel() != channel => {}
            Item::Frame(Stamped { at, frame, .. }) => {
                match frame {
                    Kept::Data { stream: Stream::Input, data, .. } => moved.0 += data.len() as u64,
                    Kept::Data { data, .. } => moved.1 += data.len() as u64,
                    _ => {}
                }
                last = Some(*at);
                if let Some(what) = tell(frame) {
                    writeln!(out, "{}  {}", clock(opened_at, *at), escaped(&what)).map_err(unwritable)?;
                }
            }
            Item::Seal(sealed) => {
                let bytes = format!("{} bytes in, {} bytes out recorded", moved.0, moved.1);
                writeln!(out, "{}  sealed: {} ({bytes})", clock(opened_at, sealed.seal.at), sealed.seal.outcome)
                    .map_err(unwritable)?;
                last = None;
            }
            Item::Mark(_) => {}
            item @ (Item::Torn { .. } | Item::Damage(_)) => tell_damage(item),
        }
    }
    if let Some(at) = last {
        writeln!(out, "{}  (no seal)", clock(opened_at, at)).map_err(unwritable)?;
    }
    out.flush().map_err(unwritable)
}

/// A frame in words; bytes and resizes are none. Text from peers comes escaped.
pub(super) fn tell(frame: &Kept) -> Option<String> {
    let verdict = |effect: Effect| if effect == Effect::Allow { "allow" } else { "DENY " };
    let at = |channel: &u32| format!("[{channel}]");
    Some(match frame {
        Kept::ChannelOpened { channel, action, decision } => {
            format!("{} {} open {action}", at(channel), verdict(decision.effect))
        }
        Kept::Decided { channel, action, decision } => {
            let rule = decision.rule.as_ref().map_or(String::new(), |rule| format!("  ({rule})"));
            format!("{} {} {action}{rule}", at(channel), verdict(decision.effect))
        }
        Kept::Terminal { channel, term, columns, rows } => {
            format!("{} terminal {} {columns}x{rows}", at(channel), term.escape_debug())
        }
        Kept::HiddenInput { channel, bytes } => {
            format!("{} {bytes} bytes of input that were not echoed or may hold a secret, not kept", at(channel))
        }
        Kept::Digest { channel, stream, bytes, kept, sha256 } => {
            let sha256 = data_encoding::HEXLOWER.encode(sha256);
            format!("{} {stream:?} stream: {bytes} bytes, {kept} of them kept, sha256 {sha256}", at(channel))
        }
        Kept::Signal { channel, name } => format!("{} signal {}", at(channel), name.escape_debug()),
        Kept::Environment { channel, name, value, passed } => {
            let how = if *passed { "passed on" } else { "not passed on" };
            format!("{} environment {}={} {how}", at(channel), name.escape_debug(), value.escape_debug())
        }
        Kept::File { channel, event } => {
            let to = event.to.as_ref().map_or(String::new(), |to| format!(" -> {}", to.escape_debug()));
            let size = event.size.map_or(String::new(), |size| format!(", {size} bytes"));
            let sha256 =
                event.sha256.as_ref().map_or(String::new(), |sha256| format!(", sha256 {}", sha256.escape_debug()));
            let how = match event.succeeded {
                Some(true) => "",
                Some(false) => ", failed",
                None => ", outcome not known",
            };
            format!("{} file {}{to}{size}{sha256}{how}", at(channel), event.action)
        }
        Kept::Exchange { channel, exchange } => format!("{} {}", at(channel), tell_exchange(exchange)),
        Kept::Forwarded { channel, destination, bytes_in, bytes_out } => {
            format!(
                "{} forwarded to {}: {bytes_in} bytes in, {bytes_out} bytes out",
                at(channel),
                destination.escape_debug()
            )
        }
        Kept::ExitStatus { channel, status } => format!("{} exit status {status}", at(channel)),
        Kept::ExitSignal { channel, name, message } => {
            format!("{} ended by signal {} {}", at(channel), name.escape_debug(), message.escape_debug())
        }
        Kept::ChannelClosed { channel, outcome } => format!("{} closed: {outcome}", at(channel)),
        Kept::Note { text } => format!("note: {}", text.escape_debug()),
        Kept::Data { .. } | Kept::Input { .. } | Kept::Resize { .. } => return None,
    })
}

/// A message of a management protocol in one line, with the beginning of its body.
fn tell_exchange(exchange: &Exchange) -> String {
    let arrow = match exchange.part {
        Part::Request => "->",
        Part::Reply => "<-",
        Part::Notification => "<*",
        Part::Observation => "==",
    };
    let status = exchange.status.as_ref().map_or(String::new(), |status| format!(": {}", status.escape_debug()));
    let body = exchange.body.as_deref().unwrap_or_default();
    let body = if exchange.part == Part::Observation { lines_shown(body) } else { beginning(body) };
    format!("{arrow} #{} {}{status} ({} bytes){body}", exchange.number, exchange.what.escape_debug(), exchange.bytes)
}

/// How much of a message's body a line of the timeline shows.
const BODY_CHARS_SHOWN: usize = 160;
/// How many lines of what the gateway itself observed are shown.
const LINES_SHOWN: usize = 40;

fn beginning(body: &str) -> String {
    let body: String = body.chars().take(BODY_CHARS_SHOWN).collect();
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if body.is_empty() { String::new() } else { format!("  {}", one_line(&body)) }
}

/// Each line of a difference: what was before and what is after is what somebody looks for here.
fn lines_shown(body: &str) -> String {
    let mut lines: Vec<String> =
        body.lines().take(LINES_SHOWN).map(|line| format!("\n                  {}", one_line(line))).collect();
    if body.lines().nth(LINES_SHOWN).is_some() {
        lines.push("\n                  (more in `sallyport export --format jsonl`)".to_owned());
    }
    lines.concat()
}

/// The time into the session.
fn clock(opened_at: Timestamp, at: Timestamp) -> String {
    let span = at.since(opened_at);
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, span.subsec_millis())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=10_000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.01 to 10000".to_owned()),
    }
}

/// Reads `SS`, `MM:SS` or `HH:MM:SS`.
fn moment(text: &str) -> Result<Duration, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let mut seconds = 0u64;
    for part in &parts {
        let digits = !part.is_empty() && part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit());
        let number = part.parse::<u64>().ok().filter(|_| digits).ok_or("write seconds, MM:SS or HH:MM:SS")?;
        seconds = seconds * 60 + number;
    }
    if parts.len() <= 3 { Ok(Duration::from_secs(seconds)) } else { Err("write seconds, MM:SS or HH:MM:SS".to_owned()) }
}

/// The failure of a session without a recording.
pub(super) fn no_recording(path: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} is not there", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_into_a_session() {
        for (text, seconds) in [("0", 0), ("90", 90), ("01:30", 90), ("1:00:01", 3601)] {
            assert_eq!(moment(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", ":", "1:", "-1", "+1", "1:2:3:4", "1m", "1.5", "9999999"] {
            assert!(moment(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "nan", "inf", "x", "1e9"] {
            assert!(speed(text).is_err(), "{text}");
        }
        assert_eq!(speed("2.5"), Ok(2.5));
    }
}
