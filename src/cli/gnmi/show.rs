//! Answers of gNMI for people (pure): a leaf a line.

use std::fmt::Write;

use serde_json::Value;

/// What an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    Capabilities,
    /// Data that was read or is followed.
    Notifications,
    /// What a Set did.
    Results,
}

impl Shown {
    /// The lines for an answer, which is JSON in the names of the specification; as it stands when it is not.
    pub(super) fn lines(self, answer: &str) -> String {
        let Ok(answer) = serde_json::from_str::<Value>(answer) else { return answer.to_owned() };
        let mut out = String::new();
        match self {
            Self::Capabilities => capabilities(&answer, &mut out),
            Self::Notifications => {
                for notification in each(of(&answer, "notification")).chain(each(of(&answer, "update"))) {
                    notified(notification, &mut out);
                }
            }
            Self::Results => {
                for result in each(of(&answer, "response")) {
                    let operation = of(result, "op").as_str().unwrap_or("?").to_lowercase();
                    line(&mut out, &format!("{operation}d"), of(result, "path").as_str().unwrap_or("/"));
                }
            }
        }
        out.trim_end().to_owned()
    }
}

/// A member; null when there is none.
fn of<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// The entries of a list, or the one that stands alone.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().chain(Some(value).filter(|value| value.is_object()))
}

fn line(out: &mut String, first: &str, second: &str) {
    // Writing to a text does not fail.
    writeln!(out, "{first}  {second}").ok();
}

fn capabilities(answer: &Value, out: &mut String) {
    line(out, "gNMI", of(answer, "gNMI_version").as_str().unwrap_or("?"));
    let encodings: Vec<String> = each_text(of(answer, "supported_encodings"));
    line(out, "encodings", &encodings.join(", "));
    for model in each(of(answer, "supported_models")) {
        let text = |name: &str| of(model, name).as_str().unwrap_or_default();
        line(out, "model", format!("{} {}", text("name"), text("version")).trim_end());
    }
}

fn each_text(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|entry| entry.as_str().map_or_else(|| entry.to_string(), str::to_owned)).collect()
}

fn notified(notification: &Value, out: &mut String) {
    let prefix = of(notification, "prefix").as_str().unwrap_or_default().trim_end_matches('/');
    let at = |path: &Value| format!("{prefix}{}", path.as_str().filter(|path| *path != "/").unwrap_or_default());
    for path in of(notification, "delete").as_array().into_iter().flatten() {
        line(out, &at(path), "(deleted)");
    }
    for update in each(of(notification, "update")) {
        let value = of(update, "val").as_object().and_then(|val| val.values().next()).unwrap_or(&Value::Null);
        leaves(&at(of(update, "path")), value, out);
    }
}

/// Each leaf below `path`; entries of lists are known by what could be their key.
fn leaves(path: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                leaves(&format!("{path}/{name}"), value, out);
            }
        }
        Value::Array(entries) if entries.iter().any(Value::is_object) => {
            for (at, entry) in entries.iter().enumerate() {
                let key = ["name", "id", "index", "username", "host", "address"].iter().find_map(|key| {
                    of(entry, key)
                        .as_str()
                        .map(|value| format!("{key}={}", value.replace('\\', "\\\\").replace(']', "\\]")))
                });
                leaves(&format!("{path}[{}]", key.unwrap_or_else(|| at.to_string())), entry, out);
            }
        }
        Value::String(text) => line(out, path, &crate::domain::plain::one_line(text)),
        value => line(out, path, &value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_a_leaf_a_line() {
        let if0 = "/interfaces/interface[name=eth0]";
        for (shown, answer, expected) in [
            (
                Shown::Capabilities,
                r#"{"supported_models":[{"name":"m","version":"1"},{"name":"n"}],"supported_encodings":["JSON","JSON_IETF"],"gNMI_version":"0.8.0"}"#,
                "gNMI  0.8.0\nencodings  JSON, JSON_IETF\nmodel  m 1\nmodel  n".to_owned(),
            ),
            (
                Shown::Notifications,
                r#"{"notification":[{"timestamp":1,"prefix":"/interfaces","update":[{"path":"/interface[name=eth0]","val":{"json_ietf_val":{"mtu":9000,"up":true,"tag":["a","b"],"d":"x\ny"}}}]}]}"#,
                format!("{if0}/d  x\\ny\n{if0}/mtu  9000\n{if0}/tag  [\"a\",\"b\"]\n{if0}/up  true"),
            ),
            (
                Shown::Notifications,
                r#"{"notification":[{"update":[{"path":"/","val":{"json_val":{"interfaces":{"interface":[{"name":"eth0"},{"x":1}]}}}}]}]}"#,
                format!("{if0}/name  eth0\n/interfaces/interface[1]/x  1"),
            ),
            (
                Shown::Notifications,
                r#"{"update":{"timestamp":1,"update":[{"path":"/a","val":{"int_val":5}}],"delete":["/b"]}}"#,
                "/b  (deleted)\n/a  5".to_owned(),
            ),
            (Shown::Notifications, r#"{"sync_response":true}"#, String::new()),
            (Shown::Notifications, "{\"cut", "{\"cut".to_owned()),
            (
                Shown::Results,
                r#"{"response":[{"path":"/a","op":"UPDATE"},{"path":"/b","op":"DELETE"},{"op":7}],"timestamp":5}"#,
                "updated  /a\ndeleted  /b\n?d  /".to_owned(),
            ),
            (Shown::Results, "{}", String::new()),
        ] {
            assert_eq!(shown.lines(answer), expected, "{answer}");
        }
    }
}
