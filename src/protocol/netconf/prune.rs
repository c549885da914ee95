//! Leaves out of an answer what may not be read, as RFC 8341 §3.2.4 does: what is left out is as if it were not there.
//!
//! An answer passes through token by token. An entry of a list is held back until its keys are known, which are its first leaves (RFC 7950
//! §7.8.5); of nothing else more than a tag is held. What holds nothing that may be seen is left out too.

use super::actions::{BASE, Reading};
use super::xml::{Name, Tag, Token, Tokenizer, decoded};
use crate::domain::data::{DataPath, DataTarget, Models, Step};

/// How much of a subtree may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    All,
    /// Nothing.
    None,
    /// Look further down.
    Some,
}

/// Says what may be shown.
pub trait Judge {
    /// How much of the subtree at each of `targets` may be shown, the least of them all.
    fn share(&mut self, targets: &[DataTarget]) -> Share;
}

/// What a decision needs to know.
pub struct Around<'a> {
    /// The models that are known.
    pub models: &'a Models,
    /// Says what may be shown.
    pub judge: &'a mut dyn Judge,
}

/// The bytes of keys that an entry may have before it is taken for one without.
const HELD_BYTES_MAX: usize = 64 << 10;

/// What the answer to a read was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Something was left out.
    pub pruned: bool,
}

/// One element whose end is to come.
#[derive(Debug)]
struct Level {
    path: DataPath,
    /// Its start tag, until something in it is shown.
    start: Vec<u8>,
    /// The keys that are to come, if it is an entry whose keys are awaited.
    awaits: Vec<String>,
    known: Vec<(String, Option<String>)>,
    step: Step,
    /// What came while its keys were awaited.
    held: Vec<u8>,
    /// Blanks since the last thing that was shown or left out.
    blanks: Vec<u8>,
}

/// Where the pruner is.
#[derive(Debug)]
enum Mode {
    /// Looking at each node.
    Look,
    /// Inside something that is shown or left out as a whole, from this depth down.
    Through { shown: bool, depth: usize },
    /// Inside a key leaf of the innermost level, whose text is gathered.
    Key { name: String, text: String, prefixed: bool, depth: usize },
}

/// Prunes one answer.
#[derive(Debug)]
pub struct Pruner {
    reading: Reading,
    levels: Vec<Level>,
    mode: Mode,
    found: Found,
}

impl Pruner {
    /// For the answer to one read.
    pub fn new(reading: Reading) -> Self {
        Self { reading, levels: Vec::new(), mode: Mode::Look, found: Found::default() }
    }

    /// What was found.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Takes one token of an answer, the whole `<rpc-reply>` and what is in it; appends what may be shown to `out`.
    pub fn take(&mut self, token: &Token, tokenizer: &Tokenizer, around: &mut Around<'_>, out: &mut Vec<u8>) {
        let (raw, depth) = (tokenizer.raw(), tokenizer.depth());
        match &self.mode {
            Mode::Through { shown, depth: ends } => {
                if *shown {
                    out.extend_from_slice(raw);
                }
                if matches!(token, Token::End) && depth < *ends {
                    self.mode = Mode::Look;
                }
                return;
            }
            Mode::Key { .. } => return self.key(token, tokenizer, around, out),
            Mode::Look => {}
        }
        match token {
            // The root and whatever holds the data are always shown: `<rpc-reply>`, `<data>`.
            Token::Start(tag) => match if tag.empty { depth + 1 } else { depth } {
                1 => out.extend_from_slice(raw),
                2 => {
                    out.extend_from_slice(raw);
                    if is_plain(tag) {
                        self.through(tag, true, depth);
                    }
                }
                _ => self.node(tag, raw, depth, around, out),
            },
            Token::End => self.end(raw, out),
            Token::Text { blank: true } => match self.levels.last_mut() {
                None => out.extend_from_slice(raw),
                Some(level) => raw.clone_into(&mut level.blanks),
            },
            // A leaf of which not all may be shown: none of it may. What stands beside nodes is none that a path could name.
            Token::Text { blank: false } | Token::Cdata | Token::Comment => self.found.pruned = true,
            Token::Declaration => out.extend_from_slice(raw),
        }
    }

    fn through(&mut self, tag: &Tag, shown: bool, depth: usize) {
        if !tag.empty {
            self.mode = Mode::Through { shown, depth };
        }
    }

    fn node(&mut self, tag: &Tag, raw: &[u8], depth: usize, around: &mut Around<'_>, out: &mut Vec<u8>) {
        if let Some(level) = self.levels.last_mut()
            && !level.awaits.is_empty()
        {
            let local = &*tag.name.local;
            if !tag.empty && level.awaits.iter().any(|key| key == local) && level.held.len() < HELD_BYTES_MAX {
                level.held.append(&mut level.blanks);
                level.held.extend_from_slice(raw);
                self.mode = Mode::Key { name: local.to_owned(), text: String::new(), prefixed: false, depth };
                return;
            }
            // No further key stands where it must: those that are missing could be any.
            self.settle(around, out);
            if let Mode::Through { shown, .. } = self.mode {
                // The mode is that of the entry, and ends with it.
                if shown {
                    out.extend_from_slice(raw);
                }
                return;
            }
        }
        let parent = self.levels.last().map(|level| level.path.clone()).unwrap_or_default();
        let step = Step::named(around.models.module_of(&tag.name.ns), &tag.name.local);
        let Ok((step, path)) = step.and_then(|step| Ok((step.clone(), parent.child(step)?))) else {
            return self.leave_out(tag, depth);
        };
        match self.share(&path, around) {
            Share::All => {
                self.show_above(out);
                out.extend_from_slice(raw);
                self.through(tag, true, depth);
            }
            Share::None => self.leave_out(tag, depth),
            Share::Some if tag.empty => self.leave_out(tag, depth),
            Share::Some => {
                let awaits = around.models.keys_of(&path).to_vec();
                let (start, known, held, blanks) = (raw.to_vec(), Vec::new(), Vec::new(), Vec::new());
                self.levels.push(Level { path, start, awaits, known, step, held, blanks });
            }
        }
    }

    fn leave_out(&mut self, tag: &Tag, depth: usize) {
        self.found.pruned = true;
        if let Some(level) = self.levels.last_mut() {
            level.blanks.clear();
        }
        self.through(tag, false, depth);
    }

    fn key(&mut self, token: &Token, tokenizer: &Tokenizer, around: &mut Around<'_>, out: &mut Vec<u8>) {
        let Mode::Key { name, text, prefixed, depth: ends } = &mut self.mode else { return };
        let Some(level) = self.levels.last_mut() else { return };
        level.held.extend_from_slice(tokenizer.raw());
        match token {
            Token::Text { .. } | Token::Cdata => {
                text.push_str(&decoded(tokenizer.raw()));
                // A name of a namespace, whose prefix is the element's choice: it could be any name.
                *prefixed |=
                    text.split_once(':').is_some_and(|(prefix, _)| tokenizer.namespace(prefix.trim()).is_some());
            }
            Token::End if tokenizer.depth() < *ends => {
                let value = (!*prefixed).then(|| text.trim().to_owned());
                let name = std::mem::take(name);
                level.awaits.retain(|key| *key != name);
                level.known.push((name, value));
                let complete = level.awaits.is_empty();
                self.mode = Mode::Look;
                if complete {
                    self.settle(around, out);
                }
            }
            Token::Start(_) | Token::End | Token::Comment | Token::Declaration => {}
        }
    }

    /// The keys of the innermost entry are known, as far as they will be: how much of it may be shown.
    fn settle(&mut self, around: &mut Around<'_>, out: &mut Vec<u8>) {
        let Some(mut level) = self.levels.pop() else { return };
        let missing = std::mem::take(&mut level.awaits);
        let keys: Vec<_> = level.known.drain(..).chain(missing.into_iter().map(|key| (key, None))).collect();
        let parent = self.levels.last().map(|level| level.path.clone()).unwrap_or_default();
        let entry = level.step.clone().with_keys(keys.clone()).and_then(|step| parent.child(step));
        let share = entry.as_ref().map_or(Share::None, |path| self.share(path, around));
        // The entry is as deep as there are levels above it, `<rpc-reply>` and its one child.
        let depth = self.levels.len() + 3;
        match (share, entry) {
            (Share::All, _) => {
                self.show_above(out);
                out.append(&mut level.start);
                out.append(&mut level.held);
                out.append(&mut level.blanks);
                self.mode = Mode::Through { shown: true, depth };
            }
            (Share::Some, Ok(path)) => {
                // Its keys tell which entry it is, and are shown with whatever of it is.
                level.start.append(&mut level.held);
                let module = level.step.module().map(str::to_owned);
                let shown = keys.iter().any(|(key, _)| {
                    let key = Step::named(module.as_deref(), key).and_then(|step| path.child(step));
                    key.is_ok_and(|key| self.share(&key, around) == Share::All)
                });
                level.path = path;
                self.levels.push(level);
                if shown {
                    self.show_above(out);
                }
            }
            (Share::None | Share::Some, _) => {
                self.found.pruned = true;
                if let Some(above) = self.levels.last_mut() {
                    above.blanks.clear();
                }
                self.mode = Mode::Through { shown: false, depth };
            }
        }
    }

    fn end(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let Some(level) = self.levels.pop() else { return out.extend_from_slice(raw) };
        if level.start.is_empty() {
            out.extend_from_slice(&level.blanks);
            out.extend_from_slice(raw);
        } else {
            self.found.pruned = true;
            if let Some(above) = self.levels.last_mut() {
                above.blanks.clear();
            }
        }
    }

    /// Something is shown, so everything around it is.
    fn show_above(&mut self, out: &mut Vec<u8>) {
        for level in &mut self.levels {
            out.append(&mut level.start);
            out.append(&mut level.blanks);
        }
    }

    fn share(&self, path: &DataPath, around: &mut Around<'_>) -> Share {
        let datastores = self.reading.datastores.iter();
        let targets: Vec<DataTarget> = datastores.map(|store| DataTarget::whole(*store, path.clone())).collect();
        around.judge.share(&targets)
    }
}

/// Whether an element of `<rpc-reply>` shows no data: `<ok/>`, `<rpc-error>`.
fn is_plain(tag: &Tag) -> bool {
    let Name { ns, local } = &tag.name;
    &**ns == BASE && matches!(&**local, "ok" | "rpc-error")
}

#[cfg(test)]
mod tests;
