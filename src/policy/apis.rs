//! `apis/NAME.json`: OpenAPI documents that elements are held to, and `apis/NAME.toml`: what the set says beside them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde::Deserialize;

use super::Problem;
use super::files::{self, Folder};
use crate::domain::api::{Api, AuthKey, CustomerAuth, Document, Rate};

/// The folder of documents.
const FOLDER: &str = "apis/";
/// What one identity is counted by at most: what was counted is remembered.
const MOST: usize = 100_000;
/// The longest span that is counted over.
const WINDOW_MAX_SECONDS: u64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    limits: Option<toml::Spanned<RawLimits>>,
    #[serde(default)]
    customer_auth: Option<toml::Spanned<RawAuth>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[serde(default)]
    requests_max: Option<usize>,
    #[serde(default)]
    requests_window_seconds: Option<u64>,
    #[serde(default)]
    objects_max: Option<usize>,
    #[serde(default)]
    objects_window_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuth {
    #[serde(default)]
    header: Option<String>,
    issuer: String,
    age_max_seconds: u64,
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: String,
    ed25519: String,
}

/// Reads every document of the folder, by its path.
pub(super) fn parse(folder: &Folder, problems: &mut Vec<Problem>) -> BTreeMap<String, Arc<Api>> {
    let mut apis = BTreeMap::new();
    let paths: Vec<String> = folder.paths().filter(|path| path.starts_with(FOLDER)).map(str::to_owned).collect();
    for path in &paths {
        if let Some(name) = path.strip_suffix(".json") {
            let beside = format!("{name}.toml");
            let Some(text) = folder.text(path, problems) else { continue };
            let document = match Document::read(&text) {
                Ok(document) => document,
                Err(mistakes) => {
                    let tell =
                        |m: crate::domain::api::Mistake| Problem { file: path.clone(), line: m.line, text: m.text };
                    problems.extend(mistakes.into_iter().map(tell));
                    Document::default()
                }
            };
            let mut api = Api { document, ..Api::default() };
            if let Some(text) = folder.text(&beside, problems) {
                settings(&mut api, &beside, &text, problems);
            }
            apis.insert(path.clone(), Arc::new(api));
        } else if !path.strip_suffix(".toml").is_some_and(|name| paths.contains(&format!("{name}.json"))) {
            let text = "is not read; documents are apis/NAME.json, and apis/NAME.toml stands beside one".to_owned();
            problems.push(Problem { file: path.clone(), line: 0, text });
        }
    }
    apis
}

fn settings(api: &mut Api, file: &str, text: &str, problems: &mut Vec<Problem>) {
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => return problems.push(files::toml_problem(file, text, &error)),
    };
    let mut tell = |at: usize, what: String| {
        problems.push(Problem { file: file.to_owned(), line: files::line_at(text, at), text: what });
    };
    if let Some(limits) = raw.limits {
        let at = limits.span().start;
        let raw = limits.into_inner();
        let mut rate = |what: &str, most, seconds| {
            rate(what, most, seconds).unwrap_or_else(|text| {
                tell(at, text);
                None
            })
        };
        api.requests = rate("requests", raw.requests_max, raw.requests_window_seconds);
        api.objects = rate("objects", raw.objects_max, raw.objects_window_seconds);
    }
    if let Some(auth) = raw.customer_auth {
        let at = auth.span().start;
        match customer_auth(auth.into_inner()) {
            Ok(auth) => api.customer_auth = Some(auth),
            Err(text) => tell(at, text),
        }
    }
}

fn rate(what: &str, most: Option<usize>, seconds: Option<u64>) -> Result<Option<Rate>, String> {
    match (most, seconds) {
        (None, None) => Ok(None),
        (Some(most), Some(seconds)) if (1..=MOST).contains(&most) && (1..=WINDOW_MAX_SECONDS).contains(&seconds) => {
            Ok(Some(Rate { most, window: Duration::from_secs(seconds) }))
        }
        _ => Err(format!(
            "write both `{what}_max` (1 to {MOST}) and `{what}_window_seconds` (1 to {WINDOW_MAX_SECONDS}), or neither"
        )),
    }
}

fn customer_auth(raw: RawAuth) -> Result<CustomerAuth, String> {
    let header = raw.header.unwrap_or_else(|| "x-customer-auth".to_owned());
    let plain = header.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain || !header.starts_with("x-") || header.starts_with("x-forwarded") {
        return Err(format!("`header` is `{}`: write a name in lower case that begins with x-", header.escape_debug()));
    }
    if raw.issuer.is_empty() || !(1..=900).contains(&raw.age_max_seconds) || raw.key.is_empty() {
        return Err("write an `issuer`, `age_max_seconds` (1 to 900) and at least one [[customer_auth.key]]".to_owned());
    }
    let mut keys: Vec<AuthKey> = Vec::new();
    for key in raw.key {
        let bytes = base64::engine::general_purpose::STANDARD.decode(&key.ed25519).ok();
        let public = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let public = public.ok_or_else(|| format!("the key `{}` is not 32 bytes in base64", key.id.escape_debug()))?;
        if key.id.is_empty() || keys.iter().any(|known| known.id == key.id) {
            return Err(format!("the key `{}` has no name, or one that is there twice", key.id.escape_debug()));
        }
        keys.push(AuthKey { id: key.id, public });
    }
    let age_max = Duration::from_secs(raw.age_max_seconds);
    Ok(CustomerAuth { header, issuer: raw.issuer, age_max, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("apis")).expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join("apis").join(name), text).expect("a file");
        }
        let mut problems = Vec::new();
        parse(&Folder::read(dir.path()).expect("a folder"), &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_stands_beside_a_document() {
        let document = r#"{"openapi":"3.1.0","paths":{"/a":{"get":{}}}}"#;
        let auth = format!(
            "[customer_auth]\nissuer = \"idp\"\nage_max_seconds = 60\n[[customer_auth.key]]\nid = \"a\"\ned25519 = \"{KEY}\"\n"
        );
        let limits =
            "[limits]\nrequests_max = 1\nrequests_window_seconds = 60\nobjects_max = 1\nobjects_window_seconds = 60\n";
        for beside in ["", limits, &auth, &format!("{limits}{auth}")] {
            assert_eq!(problems_of(&[("a.json", document), ("a.toml", beside)]), Vec::<String>::new(), "{beside}");
        }
        for (beside, place) in [
            ("x = 1", "apis/a.toml:1"),
            ("[limits]\nrequests_max = 1", "apis/a.toml:1"),
            ("\n[limits]\nobjects_window_seconds = 1", "apis/a.toml:2"),
            ("[limits]\nobjects_max = 0\nobjects_window_seconds = 1", "objects_max"),
            ("[limits]\nobjects_max = 1\nobjects_window_seconds = 100000", "objects_max"),
            ("[customer_auth]\nissuer = \"a\"\nage_max_seconds = 60", "apis/a.toml"),
            (&auth.replace("= 60", "= 3600"), "age_max_seconds"),
            (&auth.replace(KEY, "AAAA"), "32 bytes"),
            (&auth.replace("id = \"a\"", "id = \"\""), "no name"),
            (&auth.replace("[[", "header = \"authorization\"\n[["), "x-"),
            (&auth.replace("[[", "header = \"X-Proof\"\n[["), "lower case"),
        ] {
            let told = problems_of(&[("a.json", document), ("a.toml", beside)]);
            assert!(told.len() == 1 && told[0].contains(place), "{beside}: {told:?}");
        }
        for files in [&[("a.toml", "")][..], &[("a.yaml", "")], &[("a.json", "{}")], &[("a.json", "")]] {
            assert!(!problems_of(files).is_empty(), "{files:?}");
        }
    }
}
