//! The legacy scp protocol: each file is decided when its header names it.
//!
//! Both sides are held to taking turns, so that the gateway and both ends always agree whether a byte is a header or content: what a side says
//! before its turn waits here, or ends the channel when it is an element's answer. A refused file is answered in the other side's name: the source
//! goes on with the next one. A client that reads a path it may not read is told so, and both ends give up before anything passed.

mod codec;
pub mod command;
mod targets;
#[cfg(test)]
mod tests;
mod turn;

use std::mem;

use bytes::BytesMut;

use self::codec::{Record, malformed};
pub use self::command::{Role, ScpCommand};
use self::targets::{Entry, Folders};
use self::turn::{File, Times, To, Turn};
use super::inspect::{Ask, Flow, Inspect, InspectError};
use crate::domain::{Action, Verb};
use crate::recording::FileEvent;

/// What peers may make an inspector hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes in a path.
    pub path_bytes_max: usize,
    /// The deepest folder.
    pub depth_max: usize,
    /// The most bytes a side may send before its turn.
    pub early_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { path_bytes_max: 4096, depth_max: 128, early_bytes_max: 256 * 1024 }
    }
}

/// Stands in one channel that runs an scp server command.
#[derive(Debug)]
pub struct ScpInspector {
    command: ScpCommand,
    limits: Limits,
    turn: Turn,
    folders: Folders,
    times: Times,
    file: Option<File>,
    /// What each side sent before its turn.
    early: Early,
}

#[derive(Debug, Default)]
struct Early {
    source: Vec<u8>,
    sink: Vec<u8>,
}

/// The two ends as one step sees them: what they sent, and where to send to them.
struct Ends<'a, 'i> {
    source: &'a mut &'i [u8],
    sink: &'a mut &'i [u8],
    to_source: &'a mut BytesMut,
    to_sink: &'a mut BytesMut,
    events: &'a mut Vec<FileEvent>,
}

impl Inspect for ScpInspector {
    fn from_client(&mut self, input: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError> {
        self.accept(self.command.role == Role::Sink, input, ask, flow)
    }

    fn from_element(&mut self, input: &[u8], ask: &mut dyn Ask, flow: &mut Flow) -> Result<(), InspectError> {
        self.accept(self.command.role == Role::Source, input, ask, flow)
    }

    fn standing(&self) -> Vec<Action> {
        self.file.iter().map(|file| file.action().clone()).collect()
    }

    fn finish(&mut self, flow: &mut Flow) {
        self.turn = Turn::Ended;
        flow.events.extend(self.file.take().map(|file| file.ended(None)));
    }
}

impl ScpInspector {
    /// An inspector of a command that was just asked for.
    pub fn new(command: ScpCommand, limits: Limits) -> Self {
        Self {
            command,
            limits,
            turn: Turn::Opening,
            folders: Folders::default(),
            times: Times::None,
            file: None,
            early: Early::default(),
        }
    }

    fn accept(
        &mut self,
        from_source: bool,
        input: &[u8],
        ask: &mut dyn Ask,
        flow: &mut Flow,
    ) -> Result<(), InspectError> {
        let result = self.take_turns(from_source, input, ask, flow);
        if result.is_err() {
            self.turn = Turn::Ended;
        }
        result
    }

    /// Moves what came, and what waited, as far as it goes; keeps the rest for its turn.
    fn take_turns(
        &mut self,
        from_source: bool,
        input: &[u8],
        ask: &mut dyn Ask,
        flow: &mut Flow,
    ) -> Result<(), InspectError> {
        let mut early = mem::take(&mut self.early);
        let (mut source, mut sink) = if from_source {
            (joined(&mut early.source, input), early.sink.as_slice())
        } else {
            (early.source.as_slice(), joined(&mut early.sink, input))
        };
        let Flow { to_element, to_client, events } = flow;
        let (to_source, to_sink) = match self.command.role {
            Role::Sink => (to_client, to_element),
            Role::Source => (to_element, to_client),
        };
        let mut ends = Ends { source: &mut source, sink: &mut sink, to_source, to_sink, events };
        while self.step(&mut ends, ask)? {}
        // SECURITY: an answer of the element that waited here would count for a header sent later, and content could become a header there.
        if self.command.role == Role::Sink && !sink.is_empty() && !matches!(self.turn, Turn::Answer(_)) {
            return Err(malformed("the element answers what was not asked"));
        }
        if source.len().max(sink.len()) > self.limits.early_bytes_max {
            return Err(malformed("too much was sent before its turn"));
        }
        self.early = Early { source: source.to_vec(), sink: sink.to_vec() };
        Ok(())
    }

    /// One step of whoever's turn it is. `false`: that side has to send more.
    fn step(&mut self, ends: &mut Ends<'_, '_>, ask: &mut dyn Ask) -> Result<bool, InspectError> {
        match &mut self.turn {
            Turn::Opening => {
                self.open(ends, ask);
                Ok(true)
            }
            Turn::Answer(_) => {
                let Some((answer, yes)) = codec::answer(ends.sink)? else { return Ok(false) };
                ends.to_source.extend_from_slice(answer);
                *ends.sink = ends.sink.get(answer.len()..).unwrap_or_default();
                self.answered(yes, ends.events)?;
                Ok(true)
            }
            Turn::Record => {
                let Some(line) = codec::line(ends.source)? else { return Ok(false) };
                *ends.source = ends.source.get(line.len()..).unwrap_or_default();
                self.record(line, ends, ask)?;
                Ok(true)
            }
            Turn::Content { bytes_left: 0 } => {
                self.turn = Turn::Verdict;
                Ok(true)
            }
            Turn::Content { bytes_left } => {
                if ends.source.is_empty() {
                    return Ok(false);
                }
                let count = usize::try_from(*bytes_left).unwrap_or(usize::MAX).min(ends.source.len());
                let (content, rest) = ends.source.split_at(count);
                *bytes_left -= count as u64;
                *ends.source = rest;
                ends.to_sink.extend_from_slice(content);
                if let Some(file) = &mut self.file {
                    file.add(content);
                }
                Ok(true)
            }
            Turn::Verdict => {
                let Some((verdict, sound)) = codec::answer(ends.source)? else { return Ok(false) };
                ends.to_sink.extend_from_slice(verdict);
                *ends.source = ends.source.get(verdict.len()..).unwrap_or_default();
                self.turn = Turn::Answer(To::Content { sound });
                Ok(true)
            }
            Turn::Refused => {
                (*ends.source, *ends.sink) = (&[], &[]);
                Ok(false)
            }
            Turn::Ended => Err(InspectError("the file transfer has ended".to_owned())),
        }
    }

    /// Decides what the command itself names. Both ends end at a refusal: neither has sent anything yet.
    fn open(&mut self, ends: &mut Ends<'_, '_>, ask: &mut dyn Ask) {
        let refusal = self.command.actions().iter().find_map(|action| ask.allow(action).err());
        self.turn = match refusal {
            None => Turn::Answer(To::Start),
            Some(text) => {
                let line = codec::refusal(2, &text);
                ends.to_source.extend_from_slice(&line);
                ends.to_sink.extend_from_slice(&line);
                Turn::Refused
            }
        };
    }

    fn answered(&mut self, yes: bool, events: &mut Vec<FileEvent>) -> Result<(), InspectError> {
        let Turn::Answer(to) = mem::replace(&mut self.turn, Turn::Record) else { return Ok(()) };
        match to {
            To::File { bytes } if yes => self.turn = Turn::Content { bytes_left: bytes },
            // The client would not take it: nothing was read.
            To::File { .. } if self.command.role == Role::Source => self.file = None,
            To::File { .. } => events.extend(self.file.take().map(|file| file.ended(Some(false)))),
            To::Folder { paths } => {
                events.extend(self.folder_event(&paths, yes));
                if yes {
                    self.folders.enter(paths);
                }
            }
            To::End if yes => {
                self.folders.leave();
            }
            To::End => return Err(malformed("the end of a folder was refused")),
            To::Content { sound } => {
                // What a client does with a file it has read is its own affair.
                let done = sound && (yes || self.command.role == Role::Source);
                events.extend(self.file.take().map(|file| file.ended(Some(done))));
            }
            To::Start | To::Times => {}
        }
        Ok(())
    }

    fn record(&mut self, line: &[u8], ends: &mut Ends<'_, '_>, ask: &mut dyn Ask) -> Result<(), InspectError> {
        let to = match codec::record(line)? {
            // No answer follows.
            Record::Fault => {
                ends.to_sink.extend_from_slice(line);
                return Ok(());
            }
            Record::Times => {
                self.times = Times::Given;
                To::Times
            }
            Record::End if self.folders.depth() == 0 => return Err(malformed("a folder ends that did not begin")),
            Record::End => To::End,
            Record::File { special, bytes, name } => match self.decide(Entry::File, special, name, ask)? {
                Ok(paths) => {
                    self.file = Some(File::new(self.event(Verb::FileWrite, Verb::FileRead, &paths), bytes));
                    To::File { bytes }
                }
                Err(text) => {
                    self.refuse(&text, ends);
                    return Ok(());
                }
            },
            Record::Folder { special, name } => match self.decide(Entry::Folder, special, name, ask)? {
                Ok(paths) => To::Folder { paths },
                Err(text) => {
                    self.refuse(&text, ends);
                    return Ok(());
                }
            },
        };
        ends.to_sink.extend_from_slice(line);
        self.turn = Turn::Answer(to);
        Ok(())
    }

    /// Asks for every path the name may have. The inner error is for the person.
    fn decide(
        &mut self,
        entry: Entry,
        special: bool,
        name: &[u8],
        ask: &mut dyn Ask,
    ) -> Result<Result<Vec<String>, String>, InspectError> {
        if entry == Entry::Folder && (!self.command.recursive || self.folders.depth() >= self.limits.depth_max) {
            return Err(malformed("a folder that was not asked for, or too deep"));
        }
        match mem::replace(&mut self.times, Times::None) {
            Times::Stale => Err(malformed("a file without times after one with times was refused")),
            times @ (Times::None | Times::Given) => {
                let decided = self.decide_paths(entry, special, name, ask);
                if decided.is_err() && times == Times::Given {
                    self.times = Times::Stale;
                }
                Ok(decided)
            }
        }
    }

    fn decide_paths(&self, entry: Entry, special: bool, name: &[u8], ask: &mut dyn Ask) -> Result<Vec<String>, String> {
        let paths = self.folders.paths(&self.command, entry, name, self.limits.path_bytes_max)?;
        let asked = self.command.actions();
        let verb = match (self.command.role, entry) {
            (Role::Sink, Entry::File) => Verb::FileWrite,
            (Role::Sink, Entry::Folder) => Verb::FileMkdir,
            (Role::Source, Entry::File) => Verb::FileRead,
            (Role::Source, Entry::Folder) => Verb::FileList,
        };
        for path in &paths {
            let action = Action::new(verb, path.clone());
            if self.folders.depth() > 0 || !asked.contains(&action) {
                ask.allow(&action)?;
            }
            if special && self.command.role == Role::Sink {
                ask.allow(&Action::new(Verb::FileAttributes, path.clone()))?;
            }
        }
        Ok(paths)
    }

    /// Answers in the sink's name. A client that takes files is told too, as the element would tell it.
    fn refuse(&self, text: &str, ends: &mut Ends<'_, '_>) {
        let line = codec::refusal(1, text);
        ends.to_source.extend_from_slice(&line);
        if self.command.role == Role::Source {
            ends.to_sink.extend_from_slice(&line);
        }
    }

    /// What happens to the likeliest path; with the other one it may have as `to`.
    fn event(&self, sink: Verb, source: Verb, paths: &[String]) -> FileEvent {
        let verb = if self.command.role == Role::Sink { sink } else { source };
        let action = Action::new(verb, paths.first().cloned().unwrap_or_default());
        let to = paths.get(1).cloned().filter(|_| self.command.role == Role::Sink);
        FileEvent { action, to, succeeded: None, size: None, sha256: None }
    }

    fn folder_event(&self, paths: &[String], done: bool) -> Option<FileEvent> {
        // A client that would not make its folder says nothing about the element's.
        let known = done || self.command.role == Role::Sink;
        known.then(|| FileEvent { succeeded: Some(done), ..self.event(Verb::FileMkdir, Verb::FileList, paths) })
    }
}

/// What waited and what came, without a copy when nothing waited.
fn joined<'a>(waited: &'a mut Vec<u8>, came: &'a [u8]) -> &'a [u8] {
    if waited.is_empty() {
        return came;
    }
    waited.extend_from_slice(came);
    waited
}
