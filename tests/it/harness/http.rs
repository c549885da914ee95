//! Clients of HTTP: curl, and raw bytes inside TLS.

use std::path::PathBuf;
use std::process::Command;

use super::client::{MINUTE, Ran, run};
use super::data;
use super::gateway::{DOMAIN, Gateway, Site};

/// How `identity` reaches `element` by HTTP.
#[derive(Clone)]
pub struct Web {
    ca: PathBuf,
    identity: PathBuf,
    port: u16,
    /// The element's host name.
    pub host: String,
}

/// An answer as curl saw it.
#[derive(Debug)]
pub struct Answer {
    /// The status; 0 when there was no answer.
    pub status: u16,
    /// `1.1`, `2`.
    pub version: String,
    /// Status lines and headers, in lower case.
    pub headers: String,
    /// The body.
    pub body: String,
    /// What curl complained of.
    pub errors: String,
}

impl Answer {
    /// Itself, having failed the test unless it has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

impl Web {
    /// Through `gateway`.
    pub fn new(site: &Site, gateway: &Gateway, identity: &str, element: &str) -> Self {
        let host = format!("{element}.{DOMAIN}");
        Self { ca: site.path().join("ca/x509_ca.pem"), identity: site.identity(identity), port: gateway.mtls, host }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.host, self.port)
    }

    /// `curl OPTIONS… URL`, not run yet. The path goes as it stands.
    pub fn command(&self, options: &[&str], path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sS", "--path-as-is", "--globoff", "--max-time", "60", "--resolve"]);
        command.arg(format!("{}:{}:127.0.0.1", self.host, self.port));
        command.arg("--cacert").arg(&self.ca);
        command.arg("--cert").arg(self.identity.join("cert.pem")).arg("--key").arg(self.identity.join("key.pem"));
        command.args(options).arg(self.url(path));
        command
    }

    /// `curl OPTIONS… URL`.
    pub fn curl(&self, options: &[&str], path: &str) -> Answer {
        self.feed(options, path, Vec::new())
    }

    /// The same with a standard input.
    pub fn feed(&self, options: &[&str], path: &str, input: Vec<u8>) -> Answer {
        let mut command = self.command(options, path);
        command.args(["-D", "/dev/stderr", "-w", "\n%{http_code} %{http_version}"]);
        answer(&run(&mut command, input, 2 * MINUTE))
    }

    /// Sends these steps inside TLS, as `raw_https.py` reads them, and gives what came back. `-` offers nothing by ALPN.
    pub fn raw(&self, alpn: &str, steps: &serde_json::Value) -> Raw {
        let mut command = Command::new("python3");
        command.arg(data("raw_https.py")).arg(self.port.to_string());
        command.arg(self.identity.join("cert.pem")).arg(self.identity.join("key.pem"));
        command.arg(&self.ca).arg(&self.host).arg(alpn);
        let said = run(&mut command, steps.to_string().into_bytes(), MINUTE).ok().text();
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    }
}

/// What came back to raw bytes.
#[derive(Debug, serde::Deserialize)]
pub struct Raw {
    /// What ALPN agreed on.
    pub alpn: Option<String>,
    /// All that came.
    pub text: String,
    /// Whether the other side closed.
    pub closed: bool,
    /// When.
    pub seconds: f64,
}

impl Raw {
    /// The statuses of the answers, in order.
    pub fn statuses(&self) -> Vec<u16> {
        let lines = self.text.split("HTTP/1.").skip(1);
        lines.filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect()
    }
}

fn answer(ran: &Ran) -> Answer {
    let (out, errors) = (ran.text(), ran.errors());
    let (body, facts) = out.rsplit_once('\n').unwrap_or(("", &out));
    let (status, version) = facts.split_once(' ').unwrap_or((facts, ""));
    let (complaints, headers): (Vec<&str>, Vec<&str>) = errors.lines().partition(|line| line.starts_with("curl:"));
    Answer {
        status: status.parse().unwrap_or(0),
        version: version.to_owned(),
        headers: headers.join("\n").to_lowercase(),
        body: body.to_owned(),
        errors: complaints.join("\n"),
    }
}
