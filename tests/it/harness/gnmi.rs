//! A gNMI target, a gateway before it, and pygnmi as its client.

use std::fs;
use std::process::{Command, Stdio};

use sallyport::protocol::gnmi::request::path;
use sallyport::protocol::gnmi::wire::Writer;
use serde_json::{Value, json};

use super::client::{MINUTE, run};
use super::gateway::{DOMAIN, Gateway, Site};
use super::process::Process;
use super::{data, venv};

/// A gateway before the target `r1`. Fields are in the order in which they end.
pub struct Plane {
    /// The running gateway.
    pub gateway: Gateway,
    /// The target.
    pub target: Process,
    /// The gateway's folder.
    pub site: Site,
}

impl Plane {
    /// Starts one; `prepare` adds rows and changes the configuration.
    pub fn with(prepare: impl FnOnce(&mut Site)) -> Self {
        Self::with_service("", prepare)
    }

    /// The same with further lines in `[element.gnmi]`.
    pub fn with_service(lines: &str, prepare: impl FnOnce(&mut Site)) -> Self {
        let mut site = Site::new();
        let (target, port) = start_target(&site, lines.contains("credential"));
        add_element(&mut site, port, lines);
        site.let_read("ada");
        prepare(&mut site);
        let gateway = site.start();
        Self { gateway, target, site }
    }

    /// Runs these steps of `gnmi_client.py` as `identity`, and gives what came of each.
    #[track_caller]
    pub fn steps(&self, identity: &str, steps: &Value) -> Vec<Value> {
        let said = run(&mut client(&self.site, &self.gateway, identity), steps.to_string().into_bytes(), 2 * MINUTE)
            .ok()
            .text();
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
    }

    /// The same in the background, to be waited for.
    pub fn start(&self, identity: &str, name: &str, steps: &Value) -> Process {
        start(&self.site, &self.gateway, identity, name, steps)
    }

    /// What the target got of a method: who, the message in hexadecimal, secrets in its metadata.
    pub fn got(&self, method: &str) -> Vec<(String, String, Vec<String>)> {
        let lines = self.target.out();
        let got = lines.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        got.filter(|words| words.first() == Some(&"got") && words.get(2) == Some(&method))
            .map(|words| {
                let secrets = words.get(4..).unwrap_or_default().iter().map(|word| (*word).to_owned()).collect();
                (words[1].to_owned(), words[3].to_owned(), secrets)
            })
            .collect()
    }

    /// The recording of the newest closed session, as JSON Lines.
    #[track_caller]
    pub fn recorded(&self) -> Vec<Value> {
        let id = self.site.closed_session()["id"].as_str().expect("an id").to_owned();
        let text = self.site.as_ada(&["export", &id, "--format", "jsonl"]).ok().text();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

/// Starts the client in the background with these steps.
pub fn start(site: &Site, gateway: &Gateway, identity: &str, name: &str, steps: &Value) -> Process {
    let file = site.scratch().join(format!("{name}.json"));
    fs::write(&file, steps.to_string()).expect("a file");
    let mut command = client(site, gateway, identity);
    command.stdin(Stdio::from(fs::File::open(file).expect("just written")));
    Process::start_fed(&site.scratch(), name, &mut command)
}

/// The client, as `identity`. With the further argument `strict` it fails when a step does.
pub fn client(site: &Site, gateway: &Gateway, identity: &str) -> Command {
    let mut command = Command::new(venv("gnmi", "python"));
    command.arg(data("gnmi_client.py")).arg(gateway.mtls.to_string()).arg(format!("r1.{DOMAIN}"));
    command.arg(site.identity(identity)).arg(site.path().join("ca/x509_ca.pem"));
    // gRPC reads proxies from the environment, and says on standard error what it thinks of the network.
    command.env("no_proxy", "*").env("GRPC_VERBOSITY", "NONE");
    command
}

/// Starts the target; it trusts client certificates of the gateway's authority for elements, and needs none where there is a password.
fn start_target(site: &Site, password: bool) -> (Process, u16) {
    let server = super::pki::x509(
        site,
        "r1",
        "basicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:r1.lab.example\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n",
    );
    let mut command = Command::new(venv("gnmi", "python"));
    command.arg(data("gnmi_target.py")).arg(&server.cert).arg(&server.key);
    command.arg(site.path().join("ca/x509_element_ca.pem")).env("GRPC_VERBOSITY", "NONE");
    command.args(password.then_some("password"));
    let mut target = Process::start(&site.scratch(), "target", &mut command);
    let port = target.tells("its port", MINUTE, |out| out.lines().find_map(|l| l.strip_prefix("port ")?.parse().ok()));
    (target, port)
}

fn add_element(site: &mut Site, port: u16, lines: &str) {
    let host_key = site.scratch().join("r1_host");
    super::element::keygen(&host_key, &["-t", "ed25519"]);
    let host_key = super::element::public_key(&host_key.with_extension("pub"));
    let authority = fs::read_to_string(site.path().join("ca/x509_ca.pem")).expect("made by ca init");
    site.inventory(&format!(
        "[[element]]\nname = \"r1\"\naddresses = [\"127.0.0.1:9\"]\nplatform = \"eos\"\nclass = \"core-router\"\nvendor = \"test\"\nsite = \"lab\"\n\
         account = \"netops\"\nhost_keys = [\"{host_key}\"]\ncredential = {{ kind = \"certificate\" }}\nprotocols = [\"gnmi\"]\nsessions_max = 1000\n\
         [element.gnmi]\naddresses = [\"127.0.0.1:{port}\"]\nserver_name = \"r1.lab.example\"\nca = [\"\"\"\n{authority}\"\"\"]\n{lines}\n"
    ));
}

/// The step that calls `method` with these messages in hexadecimal.
pub fn call(method: &str, messages: &[&str]) -> Value {
    json!({"do": "call", "method": method, "messages": messages, "streams": messages.len() > 1})
}

/// A message in hexadecimal.
pub fn hex(message: Writer) -> String {
    data_encoding::HEXLOWER.encode(&message.finish())
}

/// A Subscribe of these paths in a mode, an update each ten milliseconds.
pub fn subscribe(paths: &[&str], mode: u64) -> String {
    let list = paths.iter().fold(Writer::new(), |list, at| {
        list.message(2, &Writer::new().message(1, &path(at).expect("a path")).number(3, 10_000_000))
    });
    hex(Writer::new().message(1, &list.number(5, mode)))
}
