//! One policy set: loaded whole, compiled, tested, and then only read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::domain::api::Api;
use crate::domain::data::Models;
use crate::domain::{Decision, Effect, Obligation, Reason, Request, Revision, RuleRef, Timestamp, Verb};

use super::casbin::Casbin;
use super::cases::{self, Case, CaseResult};
use super::compiled::{Compiled, at};
use super::files::Folder;
use super::obligation::Standing;
use super::parsed::{About, MODEL_FILE, Parsed};
use super::rows::{Link, Row, Rows};
use super::verdicts::{Judge, Verdict, Verdicts};
use super::{ElementTags, Problem, names};

/// Cases are also judged by casbin over every row, as long as that is quick.
const FULL_CHECK_ROWS_MAX: usize = 100_000;

/// One loaded, compiled, tested policy set. Immutable; replaced whole.
#[derive(Debug)]
pub struct PolicySet {
    revision: Revision,
    contact: String,
    pub(super) compiled: Compiled,
    judge: Box<dyn Judge>,
    /// Judges for [`PolicySet::look_again`], so that no decision waits for it; made when it is first needed.
    second: OnceLock<Box<dyn Judge>>,
    roles: Vec<Link>,
    groups: Vec<Link>,
    verdicts: Verdicts,
    disagreements: AtomicU64,
    cases: Vec<CaseResult>,
    warnings: Vec<Problem>,
    models: Models,
    apis: BTreeMap<String, Arc<Api>>,
}

impl std::fmt::Debug for dyn Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

impl PolicySet {
    /// Loads the folder `dir`, whole or not at all, and runs its cases. `elements` are those of its `elements.toml`, already parsed.
    ///
    /// # Errors
    /// Every mistake found, in every file.
    pub fn load(dir: &Path, elements: &[ElementTags]) -> Result<Self, Vec<Problem>> {
        Self::of(&Folder::read(dir)?, elements)
    }

    /// The set of a folder that was read, whole or not at all; runs its cases.
    ///
    /// # Errors
    /// Every mistake found, in every file.
    pub fn of(folder: &Folder, elements: &[ElementTags]) -> Result<Self, Vec<Problem>> {
        let set = Self::with_failures(folder, elements)?;
        let failures: Vec<Problem> = set
            .cases
            .iter()
            .filter_map(|case| {
                let text = format!("case `{}`: {}", case.name, case.failure.as_ref()?);
                Some(Problem { file: cases::FILE.to_owned(), line: case.line, text })
            })
            .collect();
        if failures.is_empty() { Ok(set) } else { Err(failures) }
    }

    /// The set of a folder even when cases fail, for tools that show them. The gateway serves by [`PolicySet::of`] alone.
    ///
    /// # Errors
    /// Every other mistake.
    pub fn with_failures(folder: &Folder, elements: &[ElementTags]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let parsed = Parsed::parse(folder, elements, &mut problems);
        let mut set = Self::compile(folder.revision(), &parsed.about, parsed.rows, &parsed.elements, &mut problems);
        set.warnings = set.compiled.warnings(elements);
        if !folder.holds(cases::FILE) {
            let text = "is not there: nothing says what this set must decide".to_owned();
            set.warnings.push(Problem { file: cases::FILE.to_owned(), line: 0, text });
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(problems);
        }
        set.models = parsed.models;
        set.apis = parsed.apis;
        set.run_cases(&parsed.cases);
        Ok(set)
    }

    fn compile(
        revision: Revision,
        about: &About,
        rows: Rows,
        elements: &[ElementTags],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut groups = rows.groups;
        groups.extend(tag_links(elements, problems));
        let judge = casbin_of(&rows.roles, &groups, problems);
        let compiled = Compiled::new(rows.rules, rows.duties, &rows.roles, &groups, elements, problems);
        Self {
            revision,
            contact: about.contact.clone(),
            compiled,
            judge,
            second: OnceLock::new(),
            roles: rows.roles,
            groups,
            verdicts: Verdicts::default(),
            disagreements: AtomicU64::new(0),
            cases: Vec::new(),
            warnings: Vec::new(),
            models: Models::default(),
            apis: BTreeMap::new(),
        }
    }

    fn run_cases(&mut self, cases: &[Case]) {
        let full = self.compiled.rules.len().saturating_mul(cases.len()) <= FULL_CHECK_ROWS_MAX;
        self.cases = cases
            .iter()
            .map(|case| {
                let decision = self.decide(&case.request);
                let failure = case
                    .compare(&decision)
                    .or_else(|| full.then(|| self.differs(&*self.judge, &case.request)).flatten());
                CaseResult { name: case.name.clone(), line: case.line, failure }
            })
            .collect();
        for invented in cases.iter().filter_map(|case| case.invented.as_ref()) {
            self.compiled.elements.forget(invented.name.as_str());
        }
    }

    /// Decides a request that was decided before once more, by casbin over every row of the set and without the index. Takes milliseconds:
    /// for a sample of requests, off the path. What differs is told, and every request of its class is denied from now on.
    pub fn look_again(&self, request: &Request) -> Option<String> {
        // Not a question of its own: it follows from the file actions, each of which may be looked at.
        if request.action.verb == Verb::FileTransfer {
            return None;
        }
        let second = self.second.get_or_init(|| casbin_of(&self.roles, &self.groups, &mut Vec::new()));
        let difference = self.differs(&**second, request)?;
        self.verdicts.keep(&self.compiled.matching(request), Verdict::Disputed);
        self.count_disagreement();
        Some(difference)
    }

    /// Asks casbin with every row of the set; what differs from the index is told.
    fn differs(&self, judge: &dyn Judge, request: &Request) -> Option<String> {
        let every: Vec<_> = self.compiled.rules.iter().collect();
        let ours = self.compiled.settle(&self.compiled.matching(request)).map_or(Effect::Deny, |(_, effect)| effect);
        match judge.judge(request, &every) {
            Ok(theirs) if theirs == ours => None,
            Ok(_) => Some(
                "the index and casbin over every row disagree; this is a fault of the gateway, please report it"
                    .to_owned(),
            ),
            Err(text) => Some(format!("casbin failed: {text}")),
        }
    }

    /// The hash of the folder's files.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Whom a person who was denied can ask, from `set.toml`.
    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// The data models that rows and requests speak of.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// An API by the file of its document, relative to the folder.
    pub fn api(&self, file: &str) -> Option<&Arc<Api>> {
        self.apis.get(file)
    }

    /// The mistake of a folder from which the cases have gone while `self`, which has some, is in force.
    pub fn cases_gone(&self, folder: &Folder) -> Option<Problem> {
        let text = "is gone, and with it every case that the set in force must meet; put it back, empty if nothing is to be tested";
        let gone = !self.cases.is_empty() && !folder.holds(cases::FILE);
        gone.then(|| Problem { file: cases::FILE.to_owned(), line: 0, text: text.to_owned() })
    }

    /// What became of each case.
    pub fn cases(&self) -> &[CaseResult] {
        &self.cases
    }

    /// What is no mistake and probably not meant: names that nothing has.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// How many `p` and `p2` rows there are.
    pub fn row_count(&self) -> usize {
        self.compiled.rules.len() + self.compiled.duties.len()
    }

    /// How often the index and casbin disagreed, or casbin failed. Anything but zero is a fault of the gateway; each was denied.
    pub fn engine_disagreements(&self) -> u64 {
        self.disagreements.load(Ordering::Relaxed)
    }

    /// Decides. Pure but for a cache of verdicts; about a microsecond when the class of the request was seen before.
    pub fn decide(&self, request: &Request) -> Decision {
        if request.action.verb == Verb::FileTransfer {
            return self.decide_transfer(request);
        }
        let matching = self.compiled.matching(request);
        let Some((number, effect)) = self.compiled.settle(&matching) else {
            return self.deny(None, Reason::NoRule);
        };
        let rule = self.compiled.rules.get(at(number)).map(|(row, _)| row.reference());
        match self.verdict(request, &matching, effect) {
            Err(text) => self.deny(rule, Reason::Engine(text)),
            Ok(Effect::Deny) => self.deny(rule, Reason::RuleDenies),
            Ok(Effect::Allow) => self.oblige(request, rule),
        }
    }

    /// Opening a file transfer is allowed when some file action that a row names would be: each then is decided by itself.
    fn decide_transfer(&self, request: &Request) -> Decision {
        let mut asked = request.clone();
        let mut denied = None;
        for verb in FILE_VERBS {
            asked.action.verb = *verb;
            for (row, effect) in self.compiled.candidates(&asked) {
                if *effect != Effect::Allow || !row.takes_account(request.account.as_str()) {
                    continue;
                }
                // A path that the row means: whatever its wildcards stand for.
                let path = row.object_text.replace("**", "x").replace('*', "x");
                // Every path: one that does not depend on where the login begins.
                asked.action.object = if row.object_text == "**" { "/x".to_owned() } else { path };
                let decision = self.decide(&asked);
                if decision.allows() {
                    return decision;
                }
                denied.get_or_insert(decision);
            }
        }
        denied.unwrap_or_else(|| self.deny(None, Reason::NoRule))
    }

    /// The verdict that the index and casbin agree on. SECURITY: no class of requests is allowed before casbin said so.
    fn verdict(&self, request: &Request, matching: &[u32], ours: Effect) -> Result<Effect, String> {
        let verdict = match self.verdicts.find(matching) {
            Some(verdict) => verdict,
            None => {
                let candidates = self.compiled.candidates(request);
                let theirs = self.judge.judge(request, &candidates).inspect_err(|_| self.count_disagreement())?;
                let verdict = if theirs == ours { Verdict::Agreed(ours) } else { Verdict::Disputed };
                self.verdicts.keep(matching, verdict);
                verdict
            }
        };
        match verdict {
            Verdict::Agreed(effect) if effect == ours => Ok(effect),
            Verdict::Agreed(_) | Verdict::Disputed => {
                self.count_disagreement();
                Err("the index and casbin do not agree".to_owned())
            }
        }
    }

    fn count_disagreement(&self) {
        self.disagreements.fetch_add(1, Ordering::Relaxed);
    }

    fn deny(&self, rule: Option<RuleRef>, reason: Reason) -> Decision {
        Decision {
            effect: Effect::Deny,
            rule,
            reason,
            obligations: Vec::new(),
            until: None,
            revision: self.revision.clone(),
        }
    }

    /// Allows what every obligation holds for.
    fn oblige(&self, request: &Request, rule: Option<RuleRef>) -> Decision {
        let mut obligations: Vec<Obligation> = Vec::new();
        let mut failing: Vec<String> = Vec::new();
        let mut until: Option<Timestamp> = None;
        for (_, duty) in self.compiled.obliging(request) {
            obligations.push(duty.facts());
            match duty.standing(request) {
                Standing::Fails(text) => failing.push(text),
                Standing::Holds(None) => {}
                Standing::Holds(Some(end)) => until = Some(until.map_or(end, |earliest| earliest.min(end))),
            }
        }
        if failing.is_empty() {
            Decision {
                effect: Effect::Allow,
                rule,
                reason: Reason::RuleAllows,
                obligations,
                until,
                revision: self.revision.clone(),
            }
        } else {
            let reason = Reason::Obligation(failing.join("; "));
            Decision { obligations, ..self.deny(rule, reason) }
        }
    }

    #[cfg(test)]
    pub(super) fn with_judge(mut self, judge: Box<dyn Judge>) -> Self {
        self.judge = judge;
        self.verdicts = Verdicts::default();
        self
    }

    /// The same set, with a second look that always finds `effect`.
    #[cfg(test)]
    pub(crate) fn seen_again_as(mut self, effect: Effect) -> Self {
        struct Always(Effect);
        impl Judge for Always {
            fn judge(&self, _: &Request, _: &[&(Row, Effect)]) -> Result<Effect, String> {
                Ok(self.0)
            }
        }
        self.second = OnceLock::from(Box::new(Always(effect)) as Box<dyn Judge>);
        self
    }
}

/// The actions of a file transfer, those that move content first.
const FILE_VERBS: &[Verb] = &[
    Verb::FileRead,
    Verb::FileWrite,
    Verb::FileList,
    Verb::FileDelete,
    Verb::FileRename,
    Verb::FileMkdir,
    Verb::FileAttributes,
    Verb::FileLink,
    Verb::FileStat,
];

fn tag_links(elements: &[ElementTags], problems: &mut Vec<Problem>) -> Vec<Link> {
    let mut links = Vec::new();
    for element in elements {
        for tag in &element.groups {
            match names::group(tag) {
                Ok(of) => links.push(Link { line: 0, member: format!("element:{}", element.name), of }),
                Err(text) => problems.push(Problem {
                    file: "elements.toml".to_owned(),
                    line: 0,
                    text: format!("element `{}`: group `{}`: {text}", element.name, tag.escape_debug()),
                }),
            }
        }
    }
    links
}

/// A judge that was never built; a set with it is never served, because the mistake is reported.
struct NoJudge;

impl Judge for NoJudge {
    fn judge(&self, _: &Request, _: &[&(Row, Effect)]) -> Result<Effect, String> {
        Err("there is no engine".to_owned())
    }
}

fn casbin_of(roles: &[Link], groups: &[Link], problems: &mut Vec<Problem>) -> Box<dyn Judge> {
    match Casbin::new(roles, groups) {
        Ok(judge) => Box::new(judge),
        Err(text) => {
            problems.push(Problem { file: MODEL_FILE.to_owned(), line: 0, text });
            Box::new(NoJudge)
        }
    }
}
