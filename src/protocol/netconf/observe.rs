//! What a change did to the running configuration: which part of it to look at, and how two looks differ. Pure.

use std::collections::BTreeMap;

use super::actions::BASE;
use super::xml::{self, Element, Limits};
use crate::domain::data::{DataPath, Models, Step};

/// The longest filter that names every node; a longer one names what is at the top.
const SELECTION_BYTES_MAX: usize = 64 << 10;
/// Lines of a difference.
const LINES_MAX: usize = 2_000;

/// A subtree filter for what an edit touches; nothing when that cannot be told.
pub fn selection(config: &Element, models: &Models) -> Option<String> {
    let mut whole = String::new();
    for child in &config.children {
        select(child, &DataPath::root(), models, &mut whole);
    }
    if whole.len() <= SELECTION_BYTES_MAX {
        return Some(whole);
    }
    let mut tops: Vec<String> = config
        .children
        .iter()
        .map(|child| format!("<{} xmlns=\"{}\"/>", child.name.local, escaped(&child.name.ns)))
        .collect();
    tops.dedup();
    let tops = tops.concat();
    (tops.len() <= SELECTION_BYTES_MAX).then_some(tops)
}

fn select(element: &Element, parent: &DataPath, models: &Models, out: &mut String) {
    let name = &element.name;
    out.push_str(&format!("<{} xmlns=\"{}\"", name.local, escaped(&name.ns)));
    let path = Step::named(models.module_of(&name.ns), &name.local).and_then(|step| parent.child(step));
    let (Ok(path), false) = (path, element.children.is_empty()) else {
        out.push_str("/>");
        return;
    };
    out.push('>');
    let is_key = |child: &Element| models.keys_of(&path).iter().any(|key| **key == *child.name.local);
    let merges = |operation: &str| matches!(operation, "merge" | "none");
    let all = element.attribute(BASE, "operation").is_some_and(|operation| !merges(operation));
    for child in &element.children {
        if is_key(child) {
            let (local, ns, text) = (&child.name.local, escaped(&child.name.ns), escaped(child.text.trim()));
            out.push_str(&format!("<{local} xmlns=\"{ns}\">{text}</{local}>"));
        } else if !all {
            select(child, &path, models, out);
        }
    }
    out.push_str(&format!("</{}>", name.local));
}

/// Text as it may stand in XML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && !matches!(c, '\t' | '\n') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The RPC that looks at the running configuration.
pub fn look(message_id: &str, selection: Option<&str>) -> String {
    let filter = selection.map_or(String::new(), |inner| format!("<filter type=\"subtree\">{inner}</filter>"));
    format!(
        "<rpc xmlns=\"{BASE}\" message-id=\"{message_id}\"><get-config><source><running/></source>{filter}</get-config></rpc>"
    )
}

/// What a look saw: the values of every leaf, by path.
pub type Seen = BTreeMap<String, Vec<String>>;

/// Reads the answer to a look.
///
/// # Errors
/// It is no configuration; the text says why.
pub fn seen(reply: &[u8], limits: Limits, models: &Models) -> Result<Seen, String> {
    let (root, ..) = xml::read(reply, limits).map_err(|e| e.to_string())?;
    let data = root.named(BASE, "data").next().ok_or("the element did not show it")?;
    let mut seen = Seen::new();
    for child in &data.children {
        flatten(child, &DataPath::root(), models, &mut seen);
    }
    Ok(seen)
}

fn flatten(element: &Element, parent: &DataPath, models: &Models, seen: &mut Seen) {
    let Ok(step) = Step::named(models.module_of(&element.name.ns), &element.name.local) else { return };
    let Ok(bare) = parent.child(step.clone()) else { return };
    let leaf = |key: &String| {
        let text = element.children.iter().find(|child| *child.name.local == **key).and_then(Element::leaf);
        (key.clone(), text.map(|text| text.trim().to_owned()))
    };
    let keys: Vec<_> = models.keys_of(&bare).iter().map(leaf).collect();
    let path = step.with_keys(keys.clone()).and_then(|step| parent.child(step)).unwrap_or(bare);
    if element.children.is_empty() {
        seen.entry(path.to_string()).or_default().push(element.text.trim().to_owned());
        return;
    }
    let others = element.children.iter().filter(|child| !keys.iter().any(|(key, _)| **key == *child.name.local));
    let mut any = false;
    for child in others {
        any = true;
        flatten(child, &path, models, seen);
    }
    if !any {
        seen.entry(path.to_string()).or_default().push(String::new());
    }
}

/// How two looks differ: a line for each value that went (`-`) or came (`+`), in the order of paths, and how many there are.
pub fn difference(before: &Seen, after: &Seen) -> (Vec<String>, usize) {
    let none = Vec::new();
    let (mut lines, mut count) = (Vec::new(), 0);
    let mut tell = |sign: char, path: &str, value: &str| {
        count += 1;
        if lines.len() < LINES_MAX {
            let value = if value.is_empty() { String::new() } else { format!(" = {}", value.escape_debug()) };
            lines.push(format!("{sign} {path}{value}"));
        }
    };
    let mut paths: Vec<&String> =
        before.keys().chain(after.keys().filter(|path| !before.contains_key(*path))).collect();
    paths.sort();
    for path in paths {
        let (old, new) = (before.get(path).unwrap_or(&none), after.get(path).unwrap_or(&none));
        if old == new {
            continue;
        }
        for value in old.iter().filter(|value| !new.contains(value)) {
            tell('-', path, value);
        }
        for value in new.iter().filter(|value| !old.contains(value)) {
            tell('+', path, value);
        }
    }
    (lines, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::data::Model;

    const LIMITS: Limits = Limits { depth_max: 20, elements_max: 1_000 };
    const IF: &str = "urn:ietf:params:xml:ns:yang:ietf-interfaces";

    fn models() -> Models {
        let mut models = Models::default();
        let lists = vec![("/interfaces/interface".to_owned(), vec!["name".to_owned()])];
        models.add(&Model { name: "ietf-interfaces".to_owned(), namespace: String::new(), lists }).expect("a model");
        models
    }

    fn selected(config: &str) -> String {
        let text = format!("<config xmlns:nc=\"{BASE}\">{config}</config>");
        let (root, ..) = xml::read(text.as_bytes(), LIMITS).expect("XML");
        selection(&root, &models()).expect("short").replace(&format!(" xmlns=\"{IF}\""), "").replace(" xmlns=\"\"", "")
    }

    #[test]
    fn what_is_touched_is_looked_at() {
        for (config, expected) in [
            (
                format!(
                    "<interfaces xmlns='{IF}'><interface><name>e&amp;0</name><mtu>9</mtu></interface></interfaces>"
                ),
                "<interfaces><interface><name>e&amp;0</name><mtu/></interface></interfaces>",
            ),
            (
                format!(
                    "<interfaces xmlns='{IF}'><interface nc:operation='delete'><name>e0</name><mtu>9</mtu></interface></interfaces>"
                ),
                "<interfaces><interface><name>e0</name></interface></interfaces>",
            ),
            ("<x><y>1</y></x><z/>".to_owned(), "<x><y/></x><z/>"),
        ] {
            assert_eq!(selected(&config), expected);
        }
    }

    #[test]
    fn differences_are_told_by_path() {
        let reply = |inner: &str| {
            let text = format!(
                "<rpc-reply xmlns='{BASE}'><data><interfaces xmlns='{IF}'>{inner}</interfaces></data></rpc-reply>"
            );
            seen(text.as_bytes(), LIMITS, &models()).expect("a configuration")
        };
        let before = reply(
            "<interface><name>e0</name><mtu>1500</mtu><tag>a</tag><tag>b</tag></interface><interface><name>e1</name></interface>",
        );
        let after = reply("<interface><name>e0</name><mtu>9000</mtu><tag>a</tag><tag>c</tag></interface>");
        let path = "/ietf-interfaces:interfaces/interface";
        let expected = [
            format!("- {path}[name='e0']/mtu = 1500"),
            format!("+ {path}[name='e0']/mtu = 9000"),
            format!("- {path}[name='e0']/tag = b"),
            format!("+ {path}[name='e0']/tag = c"),
            format!("- {path}[name='e1']"),
        ];
        assert_eq!(difference(&before, &after), (expected.to_vec(), 5));
        assert_eq!(difference(&after, &after), (Vec::new(), 0));
        for bad in ["", "<a/>", "<rpc-reply><ok/></rpc-reply>"] {
            assert!(seen(bad.as_bytes(), LIMITS, &models()).is_err(), "{bad}");
        }
    }
}
