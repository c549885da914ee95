//! Elements with an HTTPS service, and a gateway before one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::client::MINUTE;
use super::gateway::{Gateway, Site};
use super::http::Web;
use super::process::Process;
use super::{SOON, data, free_port, venv, wait_for, wait_until};

/// The name that the certificate of `r1` has.
pub const SERVER_NAME: &str = "r1.lab.example";

/// Where the Debian package of netconfd has the models of the IETF.
const YANG: &str = "/usr/share/yuma/modules/ietf";

/// A gateway before the element `r1`. Fields are in the order in which they end.
pub struct Plane {
    /// The running gateway.
    pub gateway: Gateway,
    /// The element.
    pub element: Process,
    /// The gateway's folder.
    pub site: Site,
}

/// A request as the element got it.
#[derive(Debug, serde::Deserialize)]
pub struct Got {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// The name in the gateway's certificate.
    pub client: Vec<String>,
}

impl Got {
    /// The names of its headers in lower case, sorted.
    pub fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        names
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Plane {
    /// Starts a gateway before an element that tells what it gets. `lines` go into `[element.https]`, after `restconf`; `prepare` adds rows.
    pub fn with(protocols: &str, lines: &str, prepare: impl FnOnce(&mut Site)) -> Self {
        let mut site = Site::new();
        let (cert, key) = certificate(&site);
        let mut command = Command::new("python3");
        command.arg(data("https_element.py")).arg(cert).arg(key);
        // One that takes a password asks for no certificate.
        command.arg(if lines.contains("credential") { "-".into() } else { element_authority(&site) });
        let mut element = Process::start(&site.scratch(), "element", &mut command);
        let port =
            element.tells("its port", MINUTE, |out| out.lines().find_map(|l| l.strip_prefix("port ")?.parse().ok()));
        add_element(&mut site, port, protocols, lines);
        Self::before(site, element, prepare)
    }

    /// Starts a gateway before an element of `site`.
    pub fn before(mut site: Site, element: Process, prepare: impl FnOnce(&mut Site)) -> Self {
        site.let_read("ada");
        prepare(&mut site);
        let gateway = site.start();
        Self { gateway, element, site }
    }

    /// How `identity` reaches the element.
    pub fn web(&self, identity: &str) -> Web {
        Web::new(&self.site, &self.gateway, identity, "r1")
    }

    /// Everything that the element got.
    pub fn got(&self) -> Vec<Got> {
        let lines = self.element.out();
        lines
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).expect("a request"))
            .collect()
    }

    /// The recordings of all sessions, once they have closed, as JSON Lines.
    #[track_caller]
    pub fn recorded(&self) -> Vec<Value> {
        let sessions = wait_for("every session is closed", SOON, || {
            let all = self.site.sessions();
            (!all.is_empty() && all.iter().all(|session| !session["closed_at"].is_null())).then_some(all)
        });
        let mut lines = Vec::new();
        for session in sessions {
            let id = session["id"].as_str().expect("an id");
            let text = self.site.as_ada(&["export", id, "--format", "jsonl"]).ok().text();
            lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))));
        }
        lines
    }
}

/// A certificate of [`SERVER_NAME`], and its key.
pub fn certificate(site: &Site) -> (PathBuf, PathBuf) {
    let extensions = format!(
        "basicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:{SERVER_NAME}\nauthorityKeyIdentifier=keyid\n\
         subjectKeyIdentifier=hash\n"
    );
    let pem = super::pki::x509(site, "r1", &extensions);
    (pem.cert, pem.key)
}

/// Whose client certificates elements trust.
pub fn element_authority(site: &Site) -> PathBuf {
    site.path().join("ca/x509_element_ca.pem")
}

/// Puts `r1` into the inventory.
pub fn add_element(site: &mut Site, port: u16, protocols: &str, lines: &str) {
    let host_key = site.scratch().join("r1_host");
    super::element::keygen(&host_key, &["-t", "ed25519"]);
    let host_key = super::element::public_key(&host_key.with_extension("pub"));
    let authority = fs::read_to_string(site.path().join("ca/x509_ca.pem")).expect("made by ca init");
    site.inventory(&format!(
        "[[element]]\nname = \"r1\"\naddresses = [\"127.0.0.1:9\"]\nplatform = \"eos\"\nclass = \"core-router\"\nvendor = \"test\"\nsite = \"lab\"\n\
         account = \"netops\"\nhost_keys = [\"{host_key}\"]\ncredential = {{ kind = \"certificate\" }}\nprotocols = [{protocols}]\nsessions_max = 1000\n\
         [element.https]\naddresses = [\"127.0.0.1:{port}\"]\nserver_name = \"{SERVER_NAME}\"\nca = [\"\"\"\n{authority}\"\"\"]\n{lines}\n"
    ));
}

/// nginx in `site`'s scratch folder with `server` as further lines of its server, on a port that it is told.
pub fn nginx(site: &Site, http2: bool, server: &str) -> (Process, u16) {
    let dir = site.scratch();
    let (cert, key) = certificate(site);
    let (port, authority) = (free_port(), element_authority(site));
    let http2 = if http2 { " http2" } else { "" };
    let (root, cert, key, authority) = (dir.display(), cert.display(), key.display(), authority.display());
    let text = format!(
        "daemon off;\nmaster_process off;\npid {root}/nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n access_log off;\n client_body_temp_path {root}/nb;\n \
         proxy_temp_path {root}/np;\n fastcgi_temp_path {root}/nf;\n uwsgi_temp_path {root}/nu;\n scgi_temp_path {root}/ns;\n server {{\n \
         listen 127.0.0.1:{port} ssl{http2};\n ssl_protocols TLSv1.3;\n ssl_certificate {cert};\n ssl_certificate_key {key};\n ssl_client_certificate {authority};\n \
         ssl_verify_client on;\n{server}\n }}\n}}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, text).expect("a file");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(&file).args(["-e", "stderr"]);
    let process = Process::start(&dir, "nginx", &mut command);
    wait_until("nginx listens", MINUTE, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (process, port)
}

/// jetconf (HTTP/2, client certificate required) with ietf-system, on a port that it is told.
pub fn jetconf(site: &Site) -> (Process, u16) {
    let dir = site.scratch();
    let (cert, key) = certificate(site);
    let backend = dir.join("jcb");
    fs::create_dir_all(&backend).expect("a folder");
    fs::write(backend.join("__init__.py"), "").expect("a file");
    let datastore = "from jetconf.data import JsonDatastore\n\n\nclass UserDatastore(JsonDatastore):\n    pass\n";
    fs::write(backend.join("usr_datastore.py"), datastore).expect("a file");
    fs::copy(data("jetconf_library.json"), backend.join("yang-library-data.json")).expect("a file");
    fs::write(dir.join("jetconf.json"), r#"{"ietf-system:system": {"contact": "reached", "hostname": "r1"}}"#)
        .expect("a file");
    let (port, root) = (free_port(), dir.display());
    let text = format!(
        "GLOBAL:\n  PIDFILE: {root}/jetconf.pid\n  YANG_LIB_DIR: {YANG}\n  DATA_JSON_FILE: {root}/jetconf.json\n  BACKEND_PACKAGE: jcb\n  CLIENT_CN: true\n\
         HTTP_SERVER:\n  LISTEN_LOCALHOST_ONLY: true\n  PORT: {port}\n  SERVER_SSL_CERT: {}\n  SERVER_SSL_PRIVKEY: {}\n  CA_CERT: {}\n\
         NACM:\n  ENABLED: false\n  ALLOWED_USERS: [netops]\n",
        cert.display(),
        key.display(),
        element_authority(site).display()
    );
    fs::write(dir.join("jetconf.yaml"), text).expect("a file");
    let mut command = Command::new(venv("jetconf", "jetconf"));
    command.arg("-c").arg(dir.join("jetconf.yaml")).env("PYTHONPATH", &dir).current_dir(&dir);
    let process = Process::start(&dir, "jetconf", &mut command);
    wait_until("jetconf listens", MINUTE, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (process, port)
}
