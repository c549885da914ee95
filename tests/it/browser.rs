//! A real browser through the gateway: HTTP/2, the person's certificate out of the browser's own store, a page that runs and asks for more.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::client::{MINUTE, run};
use crate::harness::gateway::Site;
use crate::harness::http::Web;
use crate::harness::https::{Plane, add_element, jetconf, nginx};
use crate::harness::{must, need};

/// The browser of a person, with their certificate and the gateway's authority in its store.
struct Browser {
    home: PathBuf,
}

impl Browser {
    fn of(site: &Site, identity: &str) -> Self {
        let home = site.scratch().join(format!("browser-{identity}"));
        let store = home.join(".pki/nssdb");
        std::fs::create_dir_all(&store).expect("a folder");
        let database = format!("sql:{}", store.display());
        let (folder, bundle) = (site.identity(identity), home.join("identity.p12"));
        must(Command::new("certutil").args(["-N", "--empty-password", "-d", &database]));
        let authority = site.path().join("ca/x509_ca.pem");
        must(Command::new("certutil").args(["-A", "-n", "gateway", "-t", "C,,", "-d", &database, "-i"]).arg(authority));
        let mut export = Command::new("openssl");
        export.args(["pkcs12", "-export", "-passout", "pass:test", "-out"]).arg(&bundle);
        must(export.arg("-in").arg(folder.join("cert.pem")).arg("-inkey").arg(folder.join("key.pem")));
        must(Command::new("pk12util").args(["-d", &database, "-W", "test", "-i"]).arg(&bundle));
        Self { home }
    }

    /// The document of a page once it has run. Which certificate it shows to whom is in the policy that `scripts/test-setup.sh` installs.
    fn open(&self, url: &str) -> String {
        let mut command = Command::new("chromium");
        command.env("HOME", &self.home).env("XDG_CONFIG_HOME", self.home.join("config"));
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
        ]);
        command.arg(format!("--user-data-dir={}", self.home.join("profile").display()));
        command.arg("--host-resolver-rules=MAP *.sallyport.carrier.example 127.0.0.1");
        command.args(["--virtual-time-budget=10000", "--dump-dom", url]);
        run(&mut command, Vec::new(), 3 * MINUTE).ok().text()
    }
}

const PAGE: &str = "<!DOCTYPE html><title>shop</title><p id=a>waiting</p><script>fetch('/shop/data').then(r=>r.json()).then(j=>{document.getElementById('a').textContent='came as '+j.who+' by '+performance.getEntriesByType('navigation')[0].nextHopProtocol})</script>";

#[test]
fn a_browser_reaches_nginx_with_the_persons_certificate_over_http2() {
    need!("chromium", "certutil", "pk12util", "openssl", "nginx", "chromium-policy");
    let mut site = Site::new();
    let body = format!(
        "  location = /shop/page {{ default_type text/html; return 200 \"{PAGE}\"; }}\n  \
         location = /shop/data {{ default_type application/json; return 200 '{{\"who\":\"$ssl_client_s_dn\"}}'; }}\n  \
         location = /shop/moved {{ return 302 https://r1.lab.example/shop/page; }}"
    );
    let (server, port) = nginx(&site, true, &body);
    add_element(&mut site, port, "\"https\"", "");
    let plane = Plane::before(site, server, |site| {
        site.row("p, user:ada, element:r1, *, http.get, /shop/*, allow");
        site.issue("eve", &[]);
    });
    let web: Web = plane.web("ada");
    let browser = Browser::of(&plane.site, "ada");
    let seen = browser.open(&web.url("/shop/moved"));
    assert!(seen.contains("came as CN=netops by h2"), "{seen}");
    let refused = Browser::of(&plane.site, "eve").open(&web.url("/shop/page"));
    assert!(refused.contains("not allowed for eve"), "{refused}");
    let recorded: String = plane.recorded().iter().map(ToString::to_string).collect();
    assert!(recorded.contains("GET /shop/data") && recorded.contains("CN=netops"), "{recorded}");
}

#[test]
fn a_browser_reads_from_jetconf() {
    need!("chromium", "certutil", "pk12util", "openssl", "netconfd", "python:jetconf", "chromium-policy");
    let mut site = Site::new();
    let (server, port) = jetconf(&site);
    add_element(&mut site, port, "\"restconf\"", "restconf = \"/restconf\"");
    let plane = Plane::before(site, server, |site| site.row("p, user:ada, element:r1, *, data.read, /, allow"));
    let browser = Browser::of(&plane.site, "ada");
    let seen = browser.open(&plane.web("ada").url("/restconf/data/ietf-system:system/hostname"));
    assert!(seen.contains("ietf-system:hostname") && seen.contains("r1"), "{seen}");
}
