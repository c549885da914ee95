//! Parts of what can be asked for, and which of them are allowed: rows that allow less rows that deny.

/// A part of what can be asked for, as one row could name it.
pub(super) trait Region: Clone + PartialEq {
    /// Whether all of `other` is in it.
    fn contains(&self, other: &Self) -> bool;
    /// Whether some of `other` could be in it.
    fn intersects(&self, other: &Self) -> bool;
    /// What is in both, where a row could name it; nothing otherwise.
    fn both(&self, other: &Self) -> Option<Self>;
}

/// What is allowed: all that is in one of `allow` and in none of `deny`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Allowed<R> {
    pub(super) allow: Vec<R>,
    pub(super) deny: Vec<R>,
}

impl<R: Region> Allowed<R> {
    pub(super) fn nothing() -> Self {
        Self { allow: Vec::new(), deny: Vec::new() }
    }

    pub(super) fn all_of(region: R) -> Self {
        Self { allow: vec![region], deny: Vec::new() }
    }

    /// A rule that permits and goes before all that was added so far. Says whether that could be said: it cannot inside what is denied.
    pub(super) fn permit(&mut self, region: &R) -> bool {
        self.deny.retain(|denied| !region.contains(denied));
        let said = !self.deny.iter().any(|denied| denied.intersects(region));
        if !self.deny.iter().any(|denied| denied.contains(region)) {
            self.add(region.clone());
        }
        said
    }

    /// A rule that denies and goes before all that was added so far.
    pub(super) fn deny(&mut self, region: &R) {
        self.allow.retain(|allowed| !region.contains(allowed));
        self.deny.retain(|denied| !region.contains(denied));
        if !self.deny.iter().any(|denied| denied.contains(region)) {
            self.deny.push(region.clone());
        }
        self.tidy();
    }

    /// What both allow.
    pub(super) fn both(&self, other: &Self) -> Self {
        let mut both = Self::nothing();
        for region in self.allow.iter().flat_map(|own| other.allow.iter().filter_map(|theirs| own.both(theirs))) {
            both.add(region);
        }
        for region in self.deny.iter().chain(&other.deny) {
            if !both.deny.iter().any(|denied| denied.contains(region)) {
                both.deny.retain(|denied| !region.contains(denied));
                both.deny.push(region.clone());
            }
        }
        both.tidy();
        both
    }

    fn add(&mut self, region: R) {
        if !self.allow.iter().any(|allowed| allowed.contains(&region)) {
            self.allow.retain(|allowed| !region.contains(allowed));
            self.allow.push(region);
        }
    }

    /// What denies nothing that is allowed needs no row, and would be in the way of what goes before it.
    fn tidy(&mut self) {
        let allow = &self.allow;
        self.deny.retain(|denied| allow.iter().any(|allowed| allowed.intersects(denied)));
    }
}

/// A step of a path; `None` is any module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStep {
    /// The module of the node, when it is known.
    pub module: Option<String>,
    /// The node; `*` is any of the module.
    pub name: String,
    /// The keys that an entry must have.
    pub keys: Vec<(String, String)>,
}

impl PathStep {
    fn contains(&self, other: &Self) -> bool {
        (self.name == "*" || self.name == other.name)
            && (self.module.is_none() || self.module == other.module)
            && self.keys.iter().all(|key| other.keys.contains(key))
    }

    fn intersects(&self, other: &Self) -> bool {
        let modules = self.module.is_none() || other.module.is_none() || self.module == other.module;
        let differs = |(name, value): &(String, String)| other.keys.iter().any(|(n, v)| n == name && v != value);
        let names = self.name == "*" || other.name == "*" || self.name == other.name;
        names && modules && !self.keys.iter().any(differs)
    }

    fn both(&self, other: &Self) -> Self {
        let mut keys = self.keys.clone();
        keys.extend(other.keys.iter().filter(|key| !self.keys.contains(key)).cloned());
        let name = if self.name == "*" { &other.name } else { &self.name };
        Self { module: self.module.clone().or_else(|| other.module.clone()), name: name.clone(), keys }
    }
}

/// A subtree; with a module, the nodes of that module in it with all that is below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) steps: Vec<PathStep>,
    pub(super) module: Option<String>,
}

impl Data {
    pub(super) fn everything() -> Self {
        Self { steps: Vec::new(), module: None }
    }

    /// As the object of a row has it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            text.push('/');
            if let Some(module) = &step.module {
                text.push_str(&format!("{module}:"));
            }
            text.push_str(&step.name);
            for (key, value) in &step.keys {
                let quote = if value.contains('\'') { '"' } else { '\'' };
                text.push_str(&format!("[{key}={quote}{value}{quote}]"));
            }
        }
        match &self.module {
            Some(module) => text.push_str(&format!("/**/{module}:*")),
            None if text.is_empty() => text.push('/'),
            None => {}
        }
        text
    }

    fn beside(&self, other: &Self) -> bool {
        !self.steps.iter().zip(&other.steps).all(|(own, theirs)| own.intersects(theirs))
    }

    /// Whether a step of `other` that this path does not reach is of this module.
    fn has_module_below(&self, other: &Self) -> bool {
        let below = other.steps.get(self.steps.len()..).unwrap_or_default();
        self.module.is_some() && below.iter().any(|step| step.module == self.module)
    }
}

impl Region for Data {
    fn contains(&self, other: &Self) -> bool {
        self.steps.len() <= other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(own, theirs)| own.contains(theirs))
            && (self.module.is_none() || self.module == other.module || self.has_module_below(other))
    }

    fn intersects(&self, other: &Self) -> bool {
        !self.beside(other)
    }

    fn both(&self, other: &Self) -> Option<Self> {
        if self.beside(other) {
            return None;
        }
        let (long, short) = if self.steps.len() >= other.steps.len() { (self, other) } else { (other, self) };
        let mut steps: Vec<PathStep> = long.steps.iter().zip(&short.steps).map(|(l, s)| l.both(s)).collect();
        steps.extend(long.steps.iter().skip(short.steps.len()).cloned());
        let module = match (&short.module, &long.module) {
            (None, module) => module.clone(),
            (Some(_), module) if short.has_module_below(long) => module.clone(),
            (Some(module), None) => Some(module.clone()),
            (Some(one), Some(other)) if one == other => Some(one.clone()),
            (Some(_), Some(_)) => return None,
        };
        Some(Self { steps, module })
    }
}

/// Operations by module and name; `None` is every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) module: Option<String>,
    pub(super) name: Option<String>,
}

impl Operation {
    pub(super) fn text(&self) -> String {
        match (&self.module, &self.name) {
            (None, None) => "*".to_owned(),
            (module, name) => {
                format!("{}:{}", module.as_deref().unwrap_or("*"), name.as_deref().unwrap_or("*"))
            }
        }
    }
}

impl Region for Operation {
    fn contains(&self, other: &Self) -> bool {
        (self.module.is_none() || self.module == other.module) && (self.name.is_none() || self.name == other.name)
    }

    fn intersects(&self, other: &Self) -> bool {
        let fit = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        fit(&self.module, &other.module) && fit(&self.name, &other.name)
    }

    fn both(&self, other: &Self) -> Option<Self> {
        self.intersects(other).then(|| Self {
            module: self.module.clone().or_else(|| other.module.clone()),
            name: self.name.clone().or_else(|| other.name.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Data {
        let (path, module) = text.split_once("/**/").map_or((text, None), |(path, module)| (path, Some(module)));
        let steps = path.split('/').filter(|step| !step.is_empty()).map(|step| {
            let (name, keys) = step.split_once('[').map_or((step, ""), |(name, keys)| (name, keys));
            let (module, name) = name.split_once(':').map_or((None, name), |(m, n)| (Some(m.to_owned()), n));
            let keys = keys.trim_end_matches(']').split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
            PathStep { module, name: name.to_owned(), keys: keys.into_iter().collect() }
        });
        Data { steps: steps.collect(), module: module.map(|module| module.trim_end_matches(":*").to_owned()) }
    }

    #[test]
    fn how_subtrees_lie_to_each_other() {
        for (one, other, contains, intersects) in [
            ("/", "/m:a", true, true),
            ("/m:a", "/", false, true),
            ("/m:a", "/m:a/m:b", true, true),
            ("/m:a", "/n:a", false, false),
            ("/a", "/n:a", true, true),
            ("/m:a", "/a", false, true),
            ("/m:a/m:b", "/m:a/m:c", false, false),
            ("/m:l[k=1]", "/m:l", false, true),
            ("/m:l", "/m:l[k=1]/m:x", true, true),
            ("/m:l[k=1]", "/m:l[k=2]", false, false),
            ("/m:l[k=1]", "/m:l[j=2]", false, true),
            ("/m:l[k=1]", "/m:l/m:x", false, true),
            ("/**/m:*", "/m:a", true, true),
            ("/**/m:*", "/n:a/m:b", true, true),
            ("/**/m:*", "/n:a", false, true),
            ("/**/m:*", "/**/n:*", false, true),
            ("/n:a/**/m:*", "/n:a/m:b", true, true),
            ("/n:a/**/m:*", "/n:b/m:b", false, false),
            ("/m:a/**/m:*", "/m:a", false, true),
            ("/m:*", "/m:a/n:b", true, true),
            ("/m:a", "/m:*", false, true),
            ("/m:*", "/n:a/m:b", false, false),
            ("/m:*", "/n:*", false, false),
        ] {
            let (one, other) = (data(one), data(other));
            let found = (one.contains(&other), one.intersects(&other));
            assert_eq!(found, (contains, intersects), "{} {}", one.text(), other.text());
            assert_eq!(one.intersects(&other), other.intersects(&one));
        }
        for (one, other, both) in [
            ("/m:a", "/m:a/m:b", "/m:a/m:b"),
            ("/m:l[k=1]", "/m:l/m:x", "/m:l[k='1']/m:x"),
            ("/**/m:*", "/n:a", "/n:a/**/m:*"),
            ("/**/m:*", "/m:a", "/m:a"),
            ("/m:*", "/m:a/m:b", "/m:a/m:b"),
        ] {
            assert_eq!(data(one).both(&data(other)).map(|both| both.text()).as_deref(), Some(both), "{one} {other}");
            assert_eq!(data(other).both(&data(one)).map(|both| both.text()).as_deref(), Some(both), "{other} {one}");
        }
        assert_eq!(data("/**/m:*").both(&data("/**/n:*")), None);
    }

    #[test]
    fn first_match_becomes_rows_where_it_can() {
        // From the last rule to the first: `+` permits, `-` denies, `!` permits what cannot be said.
        for (rules, allow, deny) in [
            (&["+/", "-/m:a"][..], &["/"][..], &["/m:a"][..]),
            (&["-/m:a", "+/m:a/m:b"], &["/m:a/m:b"], &[]),
            (&["+/", "-/m:a", "+/m:a"], &["/"], &[]),
            (&["+/", "-/m:a", "!/m:a/m:b"], &["/"], &["/m:a"]),
            (&["+/m:a", "-/"], &[], &[]),
            (&["+/m:a", "-/", "+/m:a/m:b"], &["/m:a/m:b"], &[]),
            (&["+/m:a", "-/m:b"], &["/m:a"], &[]),
            (&["+/m:a", "-/m:a/m:b", "-/m:a"], &[], &[]),
            (&["+/", "-/m:l[k=1]", "!/m:l/m:x"], &["/"], &["/m:l[k='1']"]),
            (&["+/", "-/**/m:*", "!/n:a"], &["/"], &["/**/m:*"]),
            (&["+/m:a", "-/m:a/m:b", "+/"], &["/"], &[]),
        ] {
            let mut found = Allowed::nothing();
            for rule in rules {
                let (kind, path) = rule.split_at(1);
                match kind {
                    "-" => found.deny(&data(path)),
                    kind => assert_eq!(found.permit(&data(path)), kind == "+", "{rules:?}"),
                }
            }
            let texts = |of: &[Data]| of.iter().map(Data::text).collect::<Vec<_>>();
            assert_eq!((texts(&found.allow), texts(&found.deny)), (texts_of(allow), texts_of(deny)), "{rules:?}");
        }
    }

    fn texts_of(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
