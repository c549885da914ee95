//! `policy.csv`: text in, typed rows out, every mistake with its line.
//!
//! One row a line, fields parted by commas, a field that holds a comma in double quotes; `#` begins a line that is a comment.

use std::collections::HashMap;

use crate::domain::{Effect, RuleRef, Verb};

use super::Problem;
use super::classes::Classes;
use super::names::{self, ANY, Kind};
use super::obligation::Duty;
use super::pattern::{self, ObjectKind, Pattern, Reach};

/// The file that rows stand in.
pub(super) const FILE: &str = "policy.csv";

const ROW_BYTES_MAX: usize = 4096;

/// A `p` or `p2` row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u32,
    /// As it is written.
    pub(super) text: String,
    /// `user:…`, `role:…` or `*`.
    pub(super) who: String,
    /// `element:…`, `group:…` or `*`.
    pub(super) element: String,
    /// `None` is every account.
    pub(super) account: Option<String>,
    pub(super) verbs: Verbs,
    /// The object field with classes replaced by their patterns, as casbin gets it.
    pub(super) object_text: String,
    pub(super) objects: Pattern,
    pub(super) reach: Reach,
}

impl Row {
    /// The row for logs and people.
    pub(super) fn reference(&self) -> RuleRef {
        RuleRef { file: FILE.to_owned(), line: self.line, text: self.text.clone() }
    }

    /// Whether the row is about this account.
    pub(super) fn takes_account(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|own| match self.reach {
            Reach::Strict => own == account,
            Reach::Broad => own.eq_ignore_ascii_case(account),
        })
    }
}

/// The verbs of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verbs {
    pub(super) text: String,
    pub(super) each: Vec<Verb>,
}

/// A `g` or `g2` row: the first is in the second.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: u32,
    pub(super) member: String,
    pub(super) of: String,
}

/// Everything `policy.csv` says.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rules: Vec<(Row, Effect)>,
    pub(super) duties: Vec<(Row, Duty)>,
    pub(super) roles: Vec<Link>,
    pub(super) groups: Vec<Link>,
}

/// Parses the file.
pub(super) fn parse(text: &str, classes: &Classes, problems: &mut Vec<Problem>) -> Rows {
    let mut rows = Rows::default();
    let mut seen: HashMap<Vec<String>, u32> = HashMap::new();
    for (index, line_text) in text.lines().enumerate() {
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let trimmed = line_text.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut problem = |text: String| problems.push(Problem { file: FILE.to_owned(), line, text });
        match fields(trimmed).and_then(|fields| row(&mut rows, line, trimmed, &fields, classes).map(|()| fields)) {
            Err(text) => problem(text),
            Ok(fields) => {
                if let Some(first) = seen.insert(fields, line) {
                    problem(format!("repeats line {first}; remove one of them"));
                }
            }
        }
    }
    rows
}

/// Splits a row into fields.
fn fields(line: &str) -> Result<Vec<String>, String> {
    if line.len() > ROW_BYTES_MAX {
        return Err(format!("the row is longer than {ROW_BYTES_MAX} bytes"));
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the row holds a control character".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = field(rest.trim_start())?;
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// One field, and what follows its comma.
fn field(text: &str) -> Result<(String, Option<&str>), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (field, after) = text.split_once(',').map_or((text, None), |(field, after)| (field, Some(after)));
        let field = field.trim();
        if field.contains(['"', '#']) {
            return Err(format!("put the field `{field}` in double quotes, and a comment on a line of its own"));
        }
        return Ok((field.to_owned(), after));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err("a double quote is not closed".to_owned());
        };
        value.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            value.push('"');
            rest = more;
            continue;
        }
        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(next) => Ok((value, Some(next))),
            None if after.is_empty() => Ok((value, None)),
            None => Err(format!("`{after}` follows a closing quote; write a comma")),
        };
    }
}

fn row(rows: &mut Rows, line: u32, text: &str, fields: &[String], classes: &Classes) -> Result<(), String> {
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    match fields.as_slice() {
        ["p", who, element, account, verb, object, effect] => {
            let (effect, reach) = match *effect {
                "allow" => (Effect::Allow, Reach::Strict),
                "deny" => (Effect::Deny, Reach::Broad),
                other => return Err(format!("`{other}`: the last field is `allow` or `deny`")),
            };
            let row = Draft { line, text, who, element, account, verb, object, reach }.finish(classes)?;
            rows.rules.push((row, effect));
        }
        ["p2", who, element, account, verb, object, duty] => {
            let duty = Duty::parse(duty)?;
            let row = Draft { line, text, who, element, account, verb, object, reach: Reach::Broad }.finish(classes)?;
            rows.duties.push((row, duty));
        }
        ["g", member, of] => {
            names::check(member, &[Kind::User, Kind::Role])?;
            names::check(of, &[Kind::Role])?;
            rows.roles.push(Link { line, member: (*member).to_owned(), of: (*of).to_owned() });
        }
        ["g2", member, of] => {
            names::check(member, &[Kind::Element, Kind::Group])?;
            names::check(of, &[Kind::Group])?;
            rows.groups.push(Link { line, member: (*member).to_owned(), of: (*of).to_owned() });
        }
        [kind @ ("p" | "p2" | "g" | "g2"), ..] => {
            return Err(format!("the row has {} fields; write `{}`", fields.len(), shape(kind)));
        }
        _ => return Err("a row begins with `p`, `p2`, `g` or `g2`; a comment with `#`".to_owned()),
    }
    Ok(())
}

fn shape(kind: &str) -> &'static str {
    match kind {
        "p" => "p, who, element, account, verb, object, allow or deny",
        "p2" => "p2, who, element, account, verb, object, obligation",
        "g" => "g, user:NAME or role:NAME, role:NAME",
        _ => "g2, element:NAME or group:NAME, group:NAME",
    }
}

/// The fields of a `p` or `p2` row before they are understood.
struct Draft<'a> {
    line: u32,
    text: &'a str,
    who: &'a str,
    element: &'a str,
    account: &'a str,
    verb: &'a str,
    object: &'a str,
    reach: Reach,
}

impl Draft<'_> {
    fn finish(self, classes: &Classes) -> Result<Row, String> {
        self.check_names()?;
        let verbs = verbs(self.verb, self.reach)?;
        let (object_text, objects) = objects(&verbs, self.object, self.reach, classes)?;
        Ok(Row {
            line: self.line,
            text: self.text.to_owned(),
            who: self.who.to_owned(),
            element: self.element.to_owned(),
            account: (self.account != ANY).then(|| self.account.to_owned()),
            verbs,
            object_text,
            objects,
            reach: self.reach,
        })
    }

    fn check_names(&self) -> Result<(), String> {
        let may_be_any = self.reach == Reach::Broad;
        for (text, kinds) in [(self.who, [Kind::User, Kind::Role]), (self.element, [Kind::Element, Kind::Group])] {
            if text == ANY && !may_be_any {
                return Err(
                    "`*` for everyone or every element is for rows that deny or oblige; an allow names whom it means"
                        .to_owned(),
                );
            }
            if text != ANY {
                names::check(text, &kinds)?;
            }
        }
        if self.account != ANY {
            self.account.parse::<crate::domain::Account>().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// The verbs that a shared name of the management plane stands for: the same thing by each protocol.
pub(super) fn shared(name: &str) -> Option<&'static [Verb]> {
    use Verb::{
        GnmiDelete, GnmiGet, GnmiReplace, GnmiSubscribe, GnmiUpdate, NetconfCreate, NetconfDelete, NetconfGet,
        NetconfGetConfig, NetconfGetData, NetconfMerge, NetconfRemove, NetconfReplace, RestconfDelete, RestconfGet,
        RestconfPatch, RestconfPost, RestconfPut,
    };
    Some(match name {
        "data.read" => &[NetconfGet, NetconfGetConfig, NetconfGetData, RestconfGet, GnmiGet, GnmiSubscribe],
        "data.create" => &[NetconfCreate, RestconfPost],
        "data.merge" => &[NetconfMerge, RestconfPatch, GnmiUpdate],
        "data.replace" => &[NetconfReplace, RestconfPut, GnmiReplace],
        "data.delete" => &[NetconfDelete, NetconfRemove, RestconfDelete, GnmiDelete],
        "data.write" => &[
            NetconfCreate,
            NetconfMerge,
            NetconfReplace,
            NetconfDelete,
            NetconfRemove,
            RestconfPost,
            RestconfPatch,
            RestconfPut,
            RestconfDelete,
            GnmiUpdate,
            GnmiReplace,
            GnmiDelete,
        ],
        _ => return None,
    })
}

/// The verb field: one verb, a shared name of the management plane, or a family such as `file.*`.
fn verbs(text: &str, reach: Reach) -> Result<Verbs, String> {
    if text == Verb::FileTransfer.as_str() {
        return Err(format!(
            "`{text}` follows from the rows of the file actions; write rows for those, such as file.read"
        ));
    }
    if let Some(each) = shared(text) {
        return Ok(Verbs { text: text.to_owned(), each: each.to_vec() });
    }
    let each: Vec<Verb> = match text.strip_suffix('*') {
        None => vec![text.parse().map_err(|e: crate::domain::ParseError| e.to_string())?],
        Some(family) => {
            if reach == Reach::Strict && family != "file." {
                return Err(format!("`{text}`: of the families an allow may name `file.*` only; name each verb"));
            }
            let whole = family.is_empty() || family.ends_with('.');
            Verb::ALL
                .iter()
                .copied()
                .filter(|v| whole && *v != Verb::FileTransfer && v.as_str().starts_with(family))
                .collect()
        }
    };
    if each.is_empty() {
        return Err(format!("`{text}` names no verb"));
    }
    Ok(Verbs { text: text.to_owned(), each })
}

/// The object field, for every kind of object that the verbs take.
fn objects(verbs: &Verbs, text: &str, reach: Reach, classes: &Classes) -> Result<(String, Pattern), String> {
    let mut kinds = verbs.each.iter().map(|verb| pattern::kind(*verb));
    let kind = kinds.next().unwrap_or(ObjectKind::Empty);
    if kinds.any(|other| other != kind) && text != "*" {
        return Err(format!(
            "`{}` takes objects of several kinds; write `*` as the object, or one verb a row",
            verbs.text
        ));
    }
    let text = match text.strip_prefix("class:") {
        Some(name) if text != pattern::ANY_COMMAND => {
            if kind != ObjectKind::Command {
                return Err(format!("`{text}`: only command lines have classes"));
            }
            classes.patterns(name).ok_or_else(|| format!("`{text}` is not in commands/*.toml; {}", classes.names()))?
        }
        _ => text.to_owned(),
    };
    let parsed = Pattern::parse(kind, reach, &text)?;
    Ok((text, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Rows, Vec<String>) {
        let mut problems = Vec::new();
        let rows = parse(text, &Classes::default(), &mut problems);
        (rows, problems.iter().map(|p| format!("{}: {}", p.line, p.text)).collect())
    }

    #[test]
    fn rows_that_are_accepted() {
        for text in [
            "p, role:noc, group:core, *, ssh.exec, show *, allow",
            "p,role:noc,group:core,*,ssh.exec,show *,allow",
            "p, user:ada, element:r1, admin, file.*, /var/**, allow",
            "p, user:ada, element:r1, admin, ssh.exec, \"a, \"\"b\"\"\", allow",
            "p, user:ada, element:r1, admin, ssh.exec, class:any-command, allow",
            "p, *, *, *, *, *, deny",
            "p, *, group:li, *, ssh.*, *, deny",
            "p, role:a, element:r1, *, ssh.raw-shell, -, allow",
            "p, role:a, element:r1, *, ssh.raw-shell, , allow",
            "p, role:a, element:r1, *, data.read, /interfaces, allow",
            "p, role:a, element:r1, *, data.write, running:/interfaces/interface[name=*]/config, allow",
            "p, role:a, element:r1, *, netconf.merge, /m:a/**/b, allow",
            "p, role:a, element:r1, *, netconf.lock, candidate, allow",
            "p, role:a, element:r1, *, cli.run, show *, allow",
            "p, *, *, *, netconf.*, *, deny",
            "p, *, *, *, data.write, *, deny",
            "p2, *, *, *, ssh.exec, *, assurance:2",
            "g, user:ada, role:noc",
            "g2, element:r1, group:core",
            "# a comment",
            "",
        ] {
            assert_eq!(read(text).1, Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn rows_that_are_refused() {
        for text in [
            "p, role:noc, group:core, *, ssh.exec, show *",
            "p, role:noc, group:core, *, ssh.exec, show *, allow, x",
            "p, role:noc, group:core, *, ssh.exec, show *, Allow",
            "p, role:noc, group:core, *, ssh.exec, show *, ",
            "p, noc, group:core, *, ssh.exec, show *, allow",
            "p, role:noc, core, *, ssh.exec, show *, allow",
            "p, group:noc, group:core, *, ssh.exec, show *, allow",
            "p, role:noc, role:core, *, ssh.exec, show *, allow",
            "p, *, group:core, *, ssh.exec, show *, allow",
            "p, role:noc, *, *, ssh.exec, show *, allow",
            "p, role:any, group:core, *, ssh.exec, show *, allow",
            "p, role:noc, group:core, a b, ssh.exec, show *, allow",
            "p, role:noc, group:core, , ssh.exec, show *, allow",
            "p, role:noc, group:core, adm*, ssh.exec, show *, allow",
            "p, role:noc, group:core, *, ssh.exe, show *, allow",
            "p, role:noc, group:core, *, ssh.*, *, allow",
            "p, role:noc, group:core, *, *, *, allow",
            "p, role:noc, group:core, *, ssh.e*, *, deny",
            "p, role:noc, group:core, *, xyz.*, *, deny",
            "p, role:noc, group:core, *, ssh.*, show *, deny",
            "p, role:noc, group:core, *, ssh.exec, , allow",
            "p, role:noc, group:core, *, ssh.exec, class:nope, allow",
            "p, role:noc, group:core, *, file.read, class:nope, allow",
            "p, role:noc, group:core, *, file.read, /a/../b, allow",
            "p, role:noc, group:core, *, file.transfer, -, allow",
            "p, role:noc, group:core, *, data.read, *, allow",
            "p, role:noc, group:core, *, data.read, interfaces, allow",
            "p, role:noc, group:core, *, data.reads, /, allow",
            "p, role:noc, group:core, *, data.*, *, deny",
            "p, role:noc, group:core, *, netconf.*, /, allow",
            "p, role:noc, group:core, *, netconf.merge, /a/**, allow",
            "p, role:noc, group:core, *, netconf.session, x, allow",
            "p, role:noc, group:core, *, file.transfer, *, deny",
            "p, role:noc, group:core, *, ssh.forward, *, allow",
            "p, role:noc, group:core, *, ssh.raw-shell, x, allow",
            "p, role:noc, group:core, *, ssh.exec, show # x, allow",
            "p, role:noc, group:core, *, ssh.exec, \"show, allow",
            "p, role:noc, group:core, *, ssh.exec, \"show\" x, allow",
            "p, role:noc, group:core, *, ssh.exec, sho\u{7}w, allow",
            "p2, role:noc, group:core, *, ssh.exec, *, assurance:9",
            "p2, role:noc, group:core, *, ssh.exec, *, be-nice",
            "p2, role:noc, group:core, *, ssh.exec, *",
            "g, ada, role:noc",
            "g, user:ada, noc",
            "g, user:ada, user:bob",
            "g, user:ada, group:noc",
            "g2, element:r1, role:noc",
            "g2, user:r1, group:noc",
            "g3, user:ada, role:noc",
            "P, role:noc, group:core, *, ssh.exec, show *, allow",
            "show",
            &format!("p, role:noc, group:core, *, ssh.exec, {}, allow", "x".repeat(5000)),
        ] {
            assert_eq!(read(text).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let (rows, problems) = read("g, user:a, role:b\n\n# x\nwrong\ng, user:a, role:b\nalso wrong\n");
        assert_eq!(rows.roles.len(), 2);
        let lines: Vec<_> = problems.iter().filter_map(|p| p.split(':').next()).collect();
        assert_eq!(lines, ["4", "5", "6"]);
        assert!(problems[1].contains("repeats line 1"), "{}", problems[1]);
    }
}
