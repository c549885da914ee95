//! Data in JSON (RFC 7951), as the nodes of a tree.

use std::collections::HashSet;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::DataNode;
use crate::domain::ParseError;

/// Nodes of one text.
const NODES_MAX: usize = 200_000;

/// What a JSON text holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonData {
    /// A list of entries, each with what is in it.
    Entries(Vec<Vec<DataNode>>),
    /// What is in one node.
    Members(Vec<DataNode>),
    /// The value of a leaf, or of a leaf-list.
    Value,
}

/// Which module a member without one belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming<'m> {
    /// None that is known: elements take a name for whatever has it.
    AsWritten,
    /// That of its parent (RFC 7951 §4); of the outermost it is this.
    Inherited(Option<&'m str>),
}

impl JsonData {
    /// Reads a text.
    ///
    /// # Errors
    /// It is not JSON, names a member twice, carries metadata (RFC 7952), nests lists, or is larger than is decided.
    pub fn read(text: &[u8], naming: Naming<'_>) -> Result<Self, ParseError> {
        let json: Json = serde_json::from_slice(text).map_err(|error| ParseError::new(format!("JSON: {error}")))?;
        let mut reading = Reading { left: NODES_MAX };
        let module = if let Naming::Inherited(module) = naming { module } else { None };
        let inherits = naming != Naming::AsWritten;
        match json {
            Json::Object(members) => reading.members(members, module, inherits).map(Self::Members),
            Json::Leaf(_) => Ok(Self::Value),
            Json::Array(entries) if entries.iter().all(|entry| matches!(entry, Json::Leaf(_))) => Ok(Self::Value),
            Json::Array(entries) => {
                let entries = entries.into_iter().map(|entry| match entry {
                    Json::Object(members) => reading.members(members, module, inherits),
                    Json::Array(_) | Json::Leaf(_) => {
                        Err(ParseError::new("JSON: a list of entries holds something else"))
                    }
                });
                entries.collect::<Result<_, _>>().map(Self::Entries)
            }
        }
    }
}

/// JSON in which no member is there twice.
enum Json {
    Array(Vec<Self>),
    Leaf(String),
    Object(Vec<(String, Self)>),
}

struct Reading {
    left: usize,
}

impl Reading {
    fn members(
        &mut self,
        members: Vec<(String, Json)>,
        module: Option<&str>,
        inherits: bool,
    ) -> Result<Vec<DataNode>, ParseError> {
        let mut nodes = Vec::new();
        for (member, json) in members {
            if member.starts_with('@') {
                return Err(ParseError::new("JSON: metadata of a node (RFC 7952) cannot be decided"));
            }
            let (own, name) = match member.split_once(':') {
                Some((own, name)) => (Some(own), name),
                None => (if inherits { module } else { None }, member.as_str()),
            };
            match json {
                // It may empty the list or leaf-list that is there.
                Json::Array(entries) if entries.is_empty() => nodes.push(self.node(own, name)?),
                Json::Array(entries) => {
                    for entry in entries {
                        nodes.push(self.filled(own, name, entry, inherits)?);
                    }
                }
                other => nodes.push(self.filled(own, name, other, inherits)?),
            }
        }
        Ok(nodes)
    }

    fn filled(&mut self, module: Option<&str>, name: &str, json: Json, inherits: bool) -> Result<DataNode, ParseError> {
        let mut node = self.node(module, name)?;
        match json {
            Json::Array(_) => return Err(ParseError::new("JSON: a list stands in a list")),
            Json::Leaf(value) => node.value = Some(value),
            Json::Object(members) => node.children = self.members(members, module, inherits)?,
        }
        Ok(node)
    }

    fn node(&mut self, module: Option<&str>, name: &str) -> Result<DataNode, ParseError> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| ParseError::new(format!("JSON: a text may have {NODES_MAX} nodes at most")))?;
        Ok(DataNode::new(module, name))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Leaf(String::new()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Leaf(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Leaf(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Leaf(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Leaf(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Leaf(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = entries.next_element()? {
            all.push(entry);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let (mut all, mut names) = (Vec::new(), HashSet::new());
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            // SECURITY: which of the two counts would be for each reader to choose.
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("`{}` is there twice", name.escape_debug())));
            }
            all.push((name, value));
        }
        Ok(Json::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `m:a(b=1 c)`: modules where they are known, values after `=`.
    fn shown(nodes: &[DataNode]) -> String {
        let each = nodes.iter().map(|node| {
            let module = node.module.as_deref().map(|module| format!("{module}:")).unwrap_or_default();
            let value = node.value.as_deref().map(|value| format!("={value}")).unwrap_or_default();
            let inner = if node.children.is_empty() { String::new() } else { format!("({})", shown(&node.children)) };
            format!("{module}{}{value}{inner}", node.name)
        });
        each.collect::<Vec<_>>().join(" ")
    }

    fn members(text: &str, naming: Naming<'_>) -> String {
        match JsonData::read(text.as_bytes(), naming) {
            Ok(JsonData::Members(nodes)) => shown(&nodes),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn members_are_nodes() {
        for (text, as_written, inherited) in [
            ("{}", "", ""),
            (
                r#"{"a":1,"b":"x","c":true,"d":null,"e":1.5,"f":-2}"#,
                "a=1 b=x c=true d= e=1.5 f=-2",
                "p:a=1 p:b=x p:c=true p:d= p:e=1.5 p:f=-2",
            ),
            (r#"{"m:a":{"b":{"n:c":1,"d":{}}}}"#, "m:a(b(n:c=1 d))", "m:a(m:b(n:c=1 m:d))"),
            (r#"{"a":[{"k":1},{"k":2}]}"#, "a(k=1) a(k=2)", "p:a(p:k=1) p:a(p:k=2)"),
            (r#"{"a":[1,"x",null]}"#, "a=1 a=x a=", "p:a=1 p:a=x p:a="),
            (r#"{"a":[],"b":[{}]}"#, "a b", "p:a p:b"),
            (r#"{"a":"A/é"}"#, "a=A/é", "p:a=A/é"),
        ] {
            assert_eq!(members(text, Naming::AsWritten), as_written, "{text}");
            assert_eq!(members(text, Naming::Inherited(Some("p"))), inherited, "{text}");
        }
    }

    #[test]
    fn entries_and_values() {
        let read = |text: &str| JsonData::read(text.as_bytes(), Naming::AsWritten).expect("JSON");
        for text in ["1", "\"x\"", "null", "[]", "[1,2]", "[null]"] {
            assert_eq!(read(text), JsonData::Value, "{text}");
        }
        let JsonData::Entries(entries) = read(r#"[{"a":1},{}]"#) else { panic!("entries") };
        assert_eq!(entries.iter().map(|nodes| shown(nodes)).collect::<Vec<_>>(), ["a=1", ""]);
    }

    #[test]
    fn texts_that_are_refused() {
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        let many = format!("[{}{{}}]", "{\"a\":1},".repeat(200_001));
        for text in [
            "",
            "{",
            "{} {}",
            "{\"a\":1}x",
            "{a:1}",
            "[1,]",
            "\u{feff}{}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"@a":{"operation":"delete"}}"#,
            r#"{"a":{"@":{}}}"#,
            r#"{"a":[[1]]}"#,
            r#"[1,{"a":1}]"#,
            r#"[[1]]"#,
            "{\"a\":\"\u{1}\"}",
            "{\"a\":1e999}",
            &deep,
            &many,
        ] {
            assert!(JsonData::read(text.as_bytes(), Naming::AsWritten).is_err(), "{}", &text[..text.len().min(80)]);
        }
        assert!(JsonData::read(b"{\"\xff\":1}", Naming::AsWritten).is_err());
    }
}
