//! The command line of one session: bytes in, bytes out, no I/O. The editor, the pager and the questions take turns at the keys.

use std::sync::Arc;

use super::commands::{self, Mode, Question, Reply, Seat, Then};
use super::configure;
use super::device::Device;
use super::editor::{Editor, Key};
use super::filter::Filter;
use super::grammar::{Command, EXEC, Node};
use super::pager::Pager;
use super::parser::{self, HelpRow, Mistake, Words};
use crate::domain::Timestamp;

/// One session's command line.
#[derive(Debug)]
pub(super) struct Shell {
    device: Arc<Device>,
    seat: Seat,
    editor: Editor,
    pager: Option<Pager>,
    question: Option<Question>,
    /// What comes when the pager is done.
    after_pager: Then,
    after_return: bool,
    length_set: bool,
    left: bool,
}

/// A line taken apart: `do`, `no`, and what is left.
struct Scope<'a> {
    tables: &'static [&'static [Node]],
    rest: &'a str,
    offset: usize,
    exec: bool,
    no: bool,
}

impl Shell {
    pub(super) fn new(device: Arc<Device>, account: String, line: u16, level: u8) -> Self {
        let seat = Seat { account, line, level, mode: Mode::Exec, length: 24, width: 80 };
        Self {
            device,
            seat,
            editor: Editor::default(),
            pager: None,
            question: None,
            after_pager: Then::Prompt,
            after_return: false,
            length_set: false,
            left: false,
        }
    }

    /// The greeting and the first prompt.
    pub(super) fn open(&mut self) -> Vec<u8> {
        let mut out = b"\r\n".to_vec();
        if let Some(banner) = self.device.with(|state| state.running.banner.clone()) {
            lines(&mut out, &banner);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.prompt().as_bytes());
        out
    }

    /// Whether the session is over.
    pub(super) fn left(&self) -> bool {
        self.left
    }

    /// Takes the size of the client's window; a length set by `terminal length` stays.
    pub(super) fn resize(&mut self, columns: u32, rows: u32) {
        if !self.length_set && rows > 0 {
            self.seat.length = rows;
        }
        if columns > 0 {
            self.seat.width = columns;
        }
    }

    /// Takes what was typed and gives what is shown.
    pub(super) fn input(&mut self, bytes: &[u8], now: Timestamp) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if self.left {
                break;
            }
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            if !(after_return && matches!(byte, b'\n' | 0)) {
                self.key(*byte, now, &mut out);
            }
        }
        out
    }

    /// Runs one line without a terminal: its output, and whether it did what it says.
    pub(super) fn exec(&mut self, line: &str, now: Timestamp) -> (Vec<u8>, bool) {
        let mut reply = self.run(line, now);
        if matches!(reply.then, Then::Ask(_)) {
            reply = Reply::refused("% This command asks a question and needs a terminal\n");
        }
        let mut out = Vec::new();
        lines(&mut out, &reply.text);
        (out, reply.done)
    }

    fn prompt(&self) -> String {
        let hostname = self.device.with(|state| state.running.hostname.clone());
        let end = if self.seat.level == 15 { '#' } else { '>' };
        format!("{hostname}{}{end}", self.seat.mode.suffix())
    }

    fn key(&mut self, byte: u8, now: Timestamp, out: &mut Vec<u8>) {
        if let Some(pager) = &mut self.pager {
            if !pager.key(byte, self.seat.length, out) {
                self.pager = None;
                let then = std::mem::replace(&mut self.after_pager, Then::Prompt);
                self.then(then, out);
            }
            return;
        }
        if let Some(question @ Question::Confirm(_)) = self.question {
            // One key is the answer.
            self.question = None;
            out.extend_from_slice(b"\r\n");
            let text = match byte {
                b'\r' | b'\n' => String::new(),
                key => char::from(key).to_string(),
            };
            let reply = commands::answer(question, &text, &mut self.seat, &self.device, now);
            self.print(reply, out);
            return;
        }
        match self.editor.key(byte, out) {
            Key::Plain => {}
            Key::Enter(line) => self.line(&line, now, out),
            Key::Finish(line) if self.seat.mode != Mode::Exec => {
                let reply = self.run(&line, now);
                lines(out, &reply.text);
                if self.seat.mode != Mode::Exec {
                    configure::leave(&mut self.seat, &self.device, now);
                }
                self.then(Then::Prompt, out);
            }
            Key::Finish(_) | Key::Abandon => {
                self.question = None;
                self.editor.hide(false);
                if self.seat.mode != Mode::Exec {
                    configure::leave(&mut self.seat, &self.device, now);
                }
                self.then(Then::Prompt, out);
            }
            Key::Leave => {
                let reply = self.run("exit", now);
                out.extend_from_slice(b"\r\n");
                self.print(reply, out);
            }
            Key::Tab => self.complete(out),
            Key::Help => self.help(out),
        }
    }

    fn line(&mut self, line: &str, now: Timestamp, out: &mut Vec<u8>) {
        let reply = match self.question.take() {
            Some(question) => {
                self.editor.hide(false);
                commands::answer(question, line, &mut self.seat, &self.device, now)
            }
            None => self.run(line, now),
        };
        self.print(reply, out);
    }

    fn print(&mut self, reply: Reply, out: &mut Vec<u8>) {
        self.pager = Pager::show(&reply.text, self.seat.length, out);
        if self.pager.is_some() {
            self.after_pager = reply.then;
        } else {
            self.then(reply.then, out);
        }
    }

    fn then(&mut self, then: Then, out: &mut Vec<u8>) {
        match then {
            Then::Prompt => {
                out.extend_from_slice(self.prompt().as_bytes());
                out.extend(self.editor.redraw());
            }
            Then::Ask(question) => {
                self.editor.hide(matches!(question, Question::EnablePassword(_)));
                out.extend_from_slice(question.prompt().as_bytes());
                out.extend(self.editor.redraw());
                self.question = Some(question);
            }
            Then::Leave => self.left = true,
        }
    }

    /// Reads and does one line.
    fn run(&mut self, line: &str, now: Timestamp) -> Reply {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('!') {
            return Reply::done("");
        }
        let scope = self.scope(line);
        let (command, filter) = match if scope.exec { Filter::split(scope.rest) } else { Ok((scope.rest, None)) } {
            Ok(parts) => parts,
            Err(mistake) => return self.mistake(line, scope.offset, &mistake),
        };
        let parsed = match parser::parse(scope.tables, command, self.seat.level) {
            Ok(parsed) => parsed,
            Err(mistake) => return self.mistake(line, scope.offset, &mistake),
        };
        if parsed.command == Command::ShowHistory {
            return Reply::done(self.editor.history().map(|l| format!("  {l}\n")).collect::<String>());
        }
        self.length_set |= parsed.command == Command::TerminalLength;
        let mut reply = if scope.exec && self.seat.mode != Mode::Exec {
            self.aside(&parsed, now)
        } else {
            commands::run(&parsed, scope.no, &mut self.seat, &self.device, now)
        };
        if let Some(filter) = filter {
            reply.text = filter.apply(&reply.text);
        }
        reply
    }

    /// `do` in a configuration mode: an exec command that leaves the mode as it is.
    fn aside(&mut self, parsed: &parser::Parsed, now: Timestamp) -> Reply {
        if matches!(parsed.command, Command::Configure | Command::Exit | Command::Logout | Command::Disable) {
            return Reply::refused("% This command is not possible here\n");
        }
        let mode = std::mem::replace(&mut self.seat.mode, Mode::Exec);
        let reply = commands::run(parsed, false, &mut self.seat, &self.device, now);
        self.seat.mode = mode;
        reply
    }

    fn scope<'a>(&self, line: &'a str) -> Scope<'a> {
        let plain = Scope {
            tables: self.seat.mode.tables(),
            rest: line,
            offset: 0,
            exec: self.seat.mode == Mode::Exec,
            no: false,
        };
        if plain.exec {
            return plain;
        }
        let mut words = Words::new(line);
        let first = words.next_word().map_or("", |(_, w)| w);
        let rest = words.rest();
        let offset = line.len() - rest.len();
        if rest.is_empty() {
            plain
        } else if first.eq_ignore_ascii_case("do") {
            Scope { tables: &[EXEC], rest, offset, exec: true, no: false }
        } else if first.eq_ignore_ascii_case("no") {
            Scope { rest, offset, no: true, ..plain }
        } else {
            plain
        }
    }

    fn mistake(&self, line: &str, offset: usize, mistake: &Mistake) -> Reply {
        Reply::refused(match mistake {
            Mistake::Ambiguous => format!("% Ambiguous command:  \"{}\"\n", line.trim()),
            Mistake::Incomplete => "% Incomplete command.\n\n".to_owned(),
            Mistake::Invalid(at) => {
                let column = self.prompt().len() + offset + at;
                format!("{}^\n% Invalid input detected at '^' marker.\n\n", " ".repeat(column))
            }
        })
    }

    fn complete(&mut self, out: &mut Vec<u8>) {
        if self.question.is_some() {
            return;
        }
        let line = self.editor.before_cursor();
        let scope = self.scope(&line);
        if let Some(completed) = parser::complete(scope.tables, scope.rest, self.seat.level) {
            let prefix = line.get(..scope.offset).unwrap_or_default();
            self.editor.replace_before_cursor(&format!("{prefix}{completed}"));
        }
        out.extend_from_slice(b"\r\n");
        self.then(Then::Prompt, out);
    }

    fn help(&mut self, out: &mut Vec<u8>) {
        if let Some(question) = self.question {
            out.extend_from_slice(b"\r\n");
            return self.then(Then::Ask(question), out);
        }
        let line = self.editor.before_cursor();
        let scope = self.scope(&line);
        out.extend_from_slice(b"\r\n");
        let whole_words = scope.rest.is_empty() || scope.rest.ends_with(' ');
        let text = match parser::help(scope.tables, scope.rest, self.seat.level) {
            Ok(rows) if whole_words => help_table(&rows),
            Ok(rows) => format!("{}\n", rows.iter().map(|r| r.0).collect::<Vec<_>>().join("  ")),
            Err(Mistake::Invalid(_)) if !whole_words => "% Unrecognized command\n".to_owned(),
            Err(mistake) => self.mistake(&line, scope.offset, &mistake).text,
        };
        self.print(Reply::done(format!("{text}\n")), out);
    }
}

fn help_table(rows: &[HelpRow]) -> String {
    let width = rows.iter().map(|r| r.0.len()).max().unwrap_or(0);
    rows.iter().map(|(word, help)| format!("{}\n", format!("  {word:<width$}  {help}").trim_end())).collect()
}

/// Adds text whose lines end as terminals want it.
fn lines(out: &mut Vec<u8>, text: &str) {
    for line in text.lines() {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
