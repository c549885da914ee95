//! What the gateway must know of data models: which module a namespace is, and which leaves are the keys of a list.
//!
//! A list that is not known here has no keys that a path could name: a row that allows one entry of it allows nothing, a row that denies one
//! denies all.

use std::collections::HashMap;

use super::NodeName;
use super::path::{DataPath, is_identifier};
use crate::domain::ParseError;

/// A module as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The module's name.
    pub name: String,
    /// Its XML namespace; empty where it is the usual one of its name.
    pub namespace: String,
    /// Its lists: the path in local names from a top-level node of the module, and the names of the keys in the model's order.
    pub lists: Vec<(String, Vec<String>)>,
}

/// Every model that is known.
#[derive(Debug, Clone, Default)]
pub struct Models {
    modules: HashMap<String, String>,
    namespaces: HashMap<String, String>,
    lists: HashMap<String, Vec<(String, Vec<String>)>>,
}

/// Namespaces of IETF modules end in the module's name (RFC 8407 §4.9).
const IETF: &str = "urn:ietf:params:xml:ns:yang:";

impl Models {
    /// Adds a module.
    ///
    /// # Errors
    /// A name, path or key that is none, a namespace or list that is there already.
    pub fn add(&mut self, model: &Model) -> Result<(), ParseError> {
        if !is_identifier(&model.name) {
            return Err(ParseError::new(format!("`{}` is not the name of a module", model.name.escape_debug())));
        }
        if !model.namespace.is_empty() {
            if self.modules.insert(model.namespace.clone(), model.name.clone()).is_some() {
                return Err(ParseError::new(format!("the namespace of `{}` is there twice", model.name)));
            }
            self.namespaces.insert(model.name.clone(), model.namespace.clone());
        }
        for (path, keys) in &model.lists {
            let names: Option<Vec<&str>> = path.strip_prefix('/').map(|path| path.split('/').collect());
            let fits = names.is_some_and(|names| names.iter().all(|name| is_identifier(name)));
            if !fits || keys.is_empty() || !keys.iter().all(|key| is_identifier(key)) {
                let text =
                    format!("`{path}`: write a path in plain names, such as /interfaces/interface, and its keys");
                return Err(ParseError::new(text));
            }
            let known = self.lists.entry(path.clone()).or_default();
            if known.iter().any(|(module, _)| *module == model.name) {
                return Err(ParseError::new(format!("the list `{path}` is there twice")));
            }
            known.push((model.name.clone(), keys.clone()));
        }
        Ok(())
    }

    /// The module of an XML namespace.
    pub fn module_of<'a>(&'a self, namespace: &'a str) -> Option<&'a str> {
        let known = self.modules.get(namespace).map(String::as_str);
        known.or_else(|| namespace.strip_prefix(IETF).filter(|name| is_identifier(name)))
    }

    /// The XML namespace of a module.
    pub fn namespace_of(&self, module: &str) -> Option<String> {
        let known = self.namespaces.get(module).cloned();
        known.or_else(|| module.starts_with("ietf-").then(|| format!("{IETF}{module}")))
    }

    /// Whether there is such a module: one that was added, or by its name one of the IETF.
    pub fn knows(&self, module: &str) -> bool {
        let listed = || self.lists.values().flatten().any(|(own, _)| own == module);
        self.namespace_of(module).is_some() || listed()
    }

    /// The keys, in the model's order, of the list at `path`; empty when it is no list that is known.
    ///
    /// Where the module of the top-level node is not known, the answer counts only if every module that has such a list agrees.
    pub fn keys_of(&self, path: &DataPath) -> &[String] {
        let mut text = String::new();
        for step in path.steps() {
            let NodeName::Named { name, .. } = &step.name else { return &[] };
            text.push('/');
            text.push_str(name);
        }
        let Some(known) = self.lists.get(&text) else { return &[] };
        let top = path.steps().first().and_then(super::Step::module);
        match (top, known.as_slice()) {
            (Some(top), known) => known.iter().find(|(module, _)| module == top).map_or(&[], |(_, keys)| keys),
            (None, [(_, keys), others @ ..]) if others.iter().all(|(_, other)| other == keys) => keys,
            (None, _) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, namespace: &str, lists: &[(&str, &[&str])]) -> Model {
        let lists = lists.iter().map(|(path, keys)| ((*path).into(), keys.iter().map(|k| (*k).into()).collect()));
        Model { name: name.into(), namespace: namespace.into(), lists: lists.collect() }
    }

    fn keys(models: &Models, path: &str) -> Vec<String> {
        models.keys_of(&path.parse().expect("a path")).to_vec()
    }

    #[test]
    fn namespaces_and_keys() {
        let mut models = Models::default();
        models.add(&model("ietf-interfaces", "", &[("/interfaces/interface", &["name"])])).expect("a model");
        let openconfig = model(
            "openconfig-interfaces",
            "http://openconfig.net/yang/interfaces",
            &[("/interfaces/interface", &["name"])],
        );
        models.add(&openconfig).expect("a model");
        assert_eq!(models.module_of("urn:ietf:params:xml:ns:yang:ietf-interfaces"), Some("ietf-interfaces"));
        assert_eq!(models.module_of("http://openconfig.net/yang/interfaces"), Some("openconfig-interfaces"));
        assert_eq!(models.module_of("http://openconfig.net/yang/other"), None);
        assert_eq!(models.module_of("urn:ietf:params:xml:ns:yang:"), None);
        assert_eq!(
            models.namespace_of("openconfig-interfaces").as_deref(),
            Some("http://openconfig.net/yang/interfaces")
        );
        assert_eq!(models.namespace_of("vendor-x"), None);
        models.add(&model("vendor-y", "", &[("/a", &["k"])])).expect("a model");
        for (module, known) in [
            ("ietf-interfaces", true),
            ("ietf-other", true),
            ("openconfig-interfaces", true),
            ("vendor-y", true),
            ("vendor-x", false),
            ("openconfig", false),
            ("", false),
        ] {
            assert_eq!(models.knows(module), known, "{module}");
        }
        assert_eq!(keys(&models, "/ietf-interfaces:interfaces/interface"), ["name"]);
        assert_eq!(keys(&models, "/interfaces/interface"), ["name"], "both agree");
        assert!(keys(&models, "/other:interfaces/interface").is_empty());
        assert!(keys(&models, "/interfaces").is_empty());
        models.add(&model("x", "urn:x", &[("/interfaces/interface", &["index"])])).expect("a model");
        assert!(keys(&models, "/interfaces/interface").is_empty(), "they differ");
    }

    #[test]
    fn models_that_are_refused() {
        let mut models = Models::default();
        for bad in [
            model("1x", "", &[]),
            model("x", "", &[("a/b", &["k"])]),
            model("x", "", &[("/a//b", &["k"])]),
            model("x", "", &[("/a[k]", &["k"])]),
            model("x", "", &[("/a", &[])]),
            model("x", "", &[("/a", &["k k"])]),
        ] {
            assert!(models.add(&bad).is_err(), "{bad:?}");
        }
        models.add(&model("x", "urn:x", &[("/a", &["k"])])).expect("a model");
        assert!(models.add(&model("y", "urn:x", &[])).is_err());
        assert!(models.add(&model("x", "", &[("/a", &["k"])])).is_err());
    }
}
