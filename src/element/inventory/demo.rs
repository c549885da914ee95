//! The inventory that `sallyport demo` writes for its lab routers.

/// A lab router as it runs.
#[derive(Debug, Clone, Copy)]
pub struct DemoElement<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its site.
    pub site: &'a str,
    /// Where it listens, `127.0.0.1:2201`.
    pub address: &'a str,
    /// Its host key's line, `ssh-ed25519 AAAA…`.
    pub host_key: &'a str,
}

/// The text of an `elements.toml` that holds these routers.
pub fn render_demo(elements: &[DemoElement<'_>]) -> String {
    let mut text = String::from("# Written by `sallyport demo`: the lab routers as they run now.\n");
    for element in elements {
        text.push_str(&format!(
            r#"
[[element]]
name = {}
addresses = [{}]
platform = "ios"
class = "core-router"
vendor = "lab"
site = {}
account = "admin"
host_keys = [{}]
credential = {{ kind = "certificate" }}
protocols = ["ssh"]
"#,
            quoted(element.name),
            quoted(element.address),
            quoted(element.site),
            quoted(element.host_key)
        ));
    }
    text
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.trim().to_owned()).to_string()
}
