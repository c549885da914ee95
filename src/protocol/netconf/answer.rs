//! One message of the element while it passes: what it is, what of it may be shown, and what the recording keeps of it.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::actions::BASE;
use super::prune::{Around, Judge, Pruner, Share};
use super::state::{Forwarded, State, Waiting};
use super::xml::{Tag, Token, Tokenizer, decoded};
use crate::access::{Outline, Portion, Refusal};
use crate::domain::data::DataTarget;
use crate::domain::{Action, Outcome, Verb};
use crate::recording::{Exchange, Part};

/// The namespace of notifications (RFC 5277).
const NOTIFICATION: &str = "urn:ietf:params:xml:ns:netconf:notification:1.0";

/// What a message is.
pub(super) enum Kind {
    /// The answer to an RPC of the client.
    Reply(Box<Forwarded>),
    /// Unasked.
    Notification,
    /// What the gateway asked; nothing when it was too long to keep.
    Look { after: bool, body: Option<Vec<u8>> },
    /// Not for the client.
    Dropped,
}

/// A message that has ended.
pub(super) struct Done {
    pub(super) kind: Kind,
    pub(super) status: String,
    /// What was not forwarded yet.
    pub(super) rest: Bytes,
    /// Whether some of it was.
    pub(super) begun: bool,
}

/// A message while it comes.
pub(super) struct Answering<'s> {
    state: &'s State<'s>,
    tokenizer: Tokenizer,
    kind: Option<Kind>,
    pruner: Option<(Pruner, Rows<'s>)>,
    what: String,
    peer_id: Option<String>,
    status: Status,
    held: Vec<u8>,
    begun: bool,
    bytes: u64,
    digest: Context,
}

/// How an answer ends, from its first elements.
#[derive(Default)]
struct Status {
    text: String,
    tag: bool,
}

impl<'s> Answering<'s> {
    pub(super) fn new(state: &'s State<'s>) -> Self {
        Self {
            state,
            tokenizer: Tokenizer::new(state.limits.depth_max),
            kind: None,
            pruner: None,
            what: String::new(),
            peer_id: None,
            status: Status::default(),
            held: Vec::new(),
            begun: false,
            bytes: 0,
            digest: Context::new(&SHA256),
        }
    }

    /// Takes bytes; a text when the message cannot go on.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<Result<(), String>, Outcome> {
        self.tokenizer.push(data);
        loop {
            let token = match self.tokenizer.next_token() {
                Ok(Some(token)) => token,
                Ok(None) => break,
                Err(error) => return Ok(Err(format!("the element's message is refused: {error}"))),
            };
            if let (Token::Start(tag), None) = (&token, &self.kind)
                && let Err(text) = self.begin(tag)
            {
                return Ok(Err(text));
            }
            self.watch(&token);
            self.keep(&token);
            if let Some(failed) = self.pruner.as_mut().and_then(|(_, rows)| rows.failed.take()) {
                return Err(failed);
            }
        }
        let shown = self.held.len();
        if let Some(Kind::Look { body, .. }) = &mut self.kind {
            let within = body.as_ref().is_some_and(|body| body.len() + shown <= self.state.limits.observed_bytes_max);
            match body {
                Some(body) if within => body.append(&mut self.held),
                _ => *body = None,
            }
            self.held.clear();
        }
        Ok(Ok(()))
    }

    /// The root element tells what the message is.
    fn begin(&mut self, tag: &Tag) -> Result<(), String> {
        let id = tag.attributes.iter().find(|a| a.name.is("", "message-id")).map(|a| &*a.value);
        self.peer_id = id.map(str::to_owned);
        if tag.name.is(NOTIFICATION, "notification") {
            "notification".clone_into(&mut self.what);
            self.kind = Some(if self.state.subscriptions.any() { Kind::Notification } else { Kind::Dropped });
            return Ok(());
        }
        if !tag.name.is(BASE, "rpc-reply") {
            return Err(format!("the element sent `{}`", tag.name.local));
        }
        let mut waiting = self.state.waiting();
        let matches = match waiting.front() {
            Some(Waiting::Forwarded(forwarded)) => forwarded.head.message_id.as_deref() == id,
            Some(Waiting::Look(look)) => Some(look.message_id.as_str()) == id,
            Some(Waiting::Answer(_)) | None => return Err("the element answers what was not asked".to_owned()),
        };
        if !matches {
            return Err("the element's answer has another message-id than the RPC whose turn it is".to_owned());
        }
        match waiting.pop_front() {
            Some(Waiting::Forwarded(forwarded)) => {
                drop(waiting);
                self.what.clone_from(&forwarded.what);
                if let Some(reading) = &forwarded.reads {
                    let rows = Rows::new(self.state, reading.verb);
                    self.pruner = Some((Pruner::new(reading.clone()), rows));
                }
                self.kind = Some(Kind::Reply(Box::new(forwarded)));
            }
            Some(Waiting::Look(look)) => self.kind = Some(Kind::Look { after: look.after, body: Some(Vec::new()) }),
            Some(Waiting::Answer(_)) | None => {}
        }
        Ok(())
    }

    /// Notes how it ends: `ok`, `data`, or the tag of the first error; of a notification its name.
    fn watch(&mut self, token: &Token) {
        let depth = self.tokenizer.depth();
        match token {
            Token::Start(tag) => {
                let level = if tag.empty { depth + 1 } else { depth };
                let local = &*tag.name.local;
                if level == 2 && self.status.text.is_empty() && local != "eventTime" {
                    local.clone_into(&mut self.status.text);
                }
                self.status.tag = level == 3 && local == "error-tag" && self.status.text == "rpc-error";
            }
            Token::Text { .. } if self.status.tag => {
                let tag: String = decoded(self.tokenizer.raw()).trim().chars().take(60).collect();
                self.status.text = format!("rpc-error {tag}");
                self.status.tag = false;
            }
            Token::Text { .. } | Token::End | Token::Cdata | Token::Comment | Token::Declaration => {}
        }
    }

    fn keep(&mut self, token: &Token) {
        match &mut self.pruner {
            Some((pruner, rows)) => {
                let rules = self.state.visit.access().rules().current();
                let mut around = Around { models: rules.policy.models(), judge: rows };
                pruner.take(token, &self.tokenizer, &mut around, &mut self.held);
            }
            None => self.held.extend_from_slice(self.tokenizer.raw()),
        }
    }

    /// What may go on now, recorded: nothing until there is more than a recording keeps.
    pub(super) fn ready(&mut self) -> Result<Option<Bytes>, Outcome> {
        let shown = matches!(self.kind, Some(Kind::Reply(_) | Kind::Notification));
        if !shown || !self.begun && self.held.len() <= self.state.limits.kept_bytes_max {
            return Ok(None);
        }
        let held = Bytes::from(std::mem::take(&mut self.held));
        if held.is_empty() {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.begun, true) {
            let mut exchange = self.state.exchange(self.number(), self.part(), &self.what, &held);
            exchange.sha256 = None;
            exchange.cut = true;
            exchange.peer_id.clone_from(&self.peer_id);
            self.state.record(&exchange)?;
        }
        self.state.session.touch();
        self.count(&held);
        Ok(Some(held))
    }

    fn count(&mut self, shown: &[u8]) {
        self.bytes = self.bytes.saturating_add(shown.len() as u64);
        self.digest.update(shown);
    }

    fn number(&self) -> u64 {
        match &self.kind {
            Some(Kind::Reply(forwarded)) => forwarded.number,
            Some(Kind::Notification | Kind::Look { .. } | Kind::Dropped) | None => 0,
        }
    }

    fn part(&self) -> Part {
        if matches!(self.kind, Some(Kind::Reply(_))) { Part::Reply } else { Part::Notification }
    }

    /// The message has ended: recorded, unless it was the gateway's own.
    pub(super) fn finish(mut self) -> Result<Result<Done, String>, Outcome> {
        if let Err(error) = self.tokenizer.finish() {
            return Ok(Err(format!("the element's message is refused: {error}")));
        }
        let rest = Bytes::from(std::mem::take(&mut self.held));
        let (number, part) = (self.number(), self.part());
        let pruned = self.pruner.as_ref().is_some_and(|(pruner, _)| pruner.found().pruned);
        let Some(kind) = self.kind.take() else { return Ok(Err("the element sent an empty message".to_owned())) };
        let status = std::mem::take(&mut self.status.text);
        if !matches!(kind, Kind::Look { .. }) {
            let begun = self.begun;
            self.count(&rest);
            let what = match &kind {
                Kind::Notification | Kind::Dropped => format!("{} {status}", self.what).trim_end().to_owned(),
                Kind::Reply(_) | Kind::Look { .. } => self.what.clone(),
            };
            let mut exchange = self.state.exchange(number, part, &what, &rest);
            if begun {
                exchange = Exchange { bytes: self.bytes, body: None, cut: true, ..exchange };
                exchange.sha256 = Some(data_encoding::HEXLOWER.encode(self.digest.clone().finish().as_ref()));
            }
            exchange.peer_id.clone_from(&self.peer_id);
            exchange.status = match (&kind, pruned) {
                (Kind::Dropped, _) => Some("not forwarded: this session has no subscription".to_owned()),
                (Kind::Notification, _) => None,
                (_, true) => Some(format!("{status}, pruned")),
                (_, false) => Some(status.clone()),
            };
            self.state.record(&exchange)?;
        }
        Ok(Ok(Done { kind, status, rest, begun: self.begun }))
    }
}

/// What rows say of the nodes of one answer.
struct Rows<'s> {
    state: &'s State<'s>,
    verb: Verb,
    outline: Outline,
    asked: HashMap<Vec<DataTarget>, Share>,
    failed: Option<Outcome>,
}

/// Answers that are remembered while one message passes.
const ASKED_MAX: usize = 10_000;

impl<'s> Rows<'s> {
    fn new(state: &'s State<'s>, verb: Verb) -> Self {
        Self { state, verb, outline: state.session.outline(verb), asked: HashMap::new(), failed: None }
    }
}

impl Judge for Rows<'_> {
    fn share(&mut self, targets: &[DataTarget]) -> Share {
        let mut all = Share::All;
        for target in targets {
            match self.outline.portion(target) {
                Portion::Nothing => return Share::None,
                Portion::Part => all = Share::Some,
                Portion::Whole => {}
            }
        }
        if all != Share::All {
            return all;
        }
        if let Some(known) = self.asked.get(targets) {
            return *known;
        }
        let allowed = targets.iter().try_for_each(|target| {
            self.state.session.allow(self.state.channel, &Action::new(self.verb, target.to_string()))
        });
        let share = match allowed {
            Ok(()) => Share::All,
            Err(Refusal::Denied(_)) => Share::None,
            Err(Refusal::Unavailable(outcome)) => {
                self.failed = Some(outcome);
                Share::None
            }
        };
        if self.asked.len() < ASKED_MAX {
            self.asked.insert(targets.to_vec(), share);
        }
        share
    }
}
