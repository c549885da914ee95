//! Credentials that should not work, made with the authority's own keys and other people's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::element::keygen;
use super::gateway::Site;
use super::must;

/// A certificate and its key.
pub struct Pem {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A client certificate signed by `site`'s authority with these extensions, as `openssl` writes them in a configuration.
pub fn x509(site: &Site, name: &str, extensions: &str) -> Pem {
    let dir = site.scratch();
    let (cert, key, request, text) = (
        dir.join(format!("{name}.pem")),
        dir.join(format!("{name}.key")),
        dir.join(format!("{name}.csr")),
        dir.join(format!("{name}.ext")),
    );
    must(
        Command::new("openssl")
            .args([
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=x",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&request),
    );
    fs::write(&text, extensions).expect("a file");
    let ca = site.path().join("ca");
    must(
        Command::new("openssl")
            .args(["x509", "-req", "-days", "1", "-set_serial", &format!("0x{}", serial(name)), "-extfile"])
            .arg(&text)
            .arg("-CA")
            .arg(ca.join("x509_ca.pem"))
            .arg("-CAkey")
            .arg(ca.join("x509_ca.key.pem"))
            .arg("-in")
            .arg(&request)
            .arg("-out")
            .arg(&cert),
    );
    Pem { cert, key }
}

fn serial(name: &str) -> String {
    super::client::digest(name.as_bytes()).get(..16).map(|s| format!("4{s}")).expect("64 digits")
}

/// What a good user certificate of ours says; tests change one thing of it.
pub const GOOD: &str = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n\
                        subjectAltName=URI:spiffe://carrier.example/user/ada\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n";

/// An SSH key in `dir/name` with a certificate beside it, signed by `authority` with these `ssh-keygen` options.
pub fn ssh(dir: &Path, name: &str, authority: &Path, options: &[&str]) -> PathBuf {
    let key = dir.join(name);
    keygen(&key, &["-t", "ed25519"]);
    must(Command::new("ssh-keygen").args(["-q", "-s"]).arg(authority).args(options).arg(key.with_extension("pub")));
    key
}

/// A revocation list of `site`'s authority that holds nobody and runs out after `life`.
pub fn crl(site: &Site, life: std::time::Duration) -> String {
    let dir = site.scratch();
    let (config, ca) = (dir.join("crl.conf"), site.path().join("ca"));
    fs::write(dir.join("index.txt"), "").expect("a file");
    fs::write(dir.join("crlnumber"), "7000\n").expect("a file");
    let text = format!(
        "[ca]\ndefault_ca = ours\n[ours]\ndatabase = {0}/index.txt\ncrlnumber = {0}/crlnumber\ndefault_md = sha256\ncrl_extensions = more\n\
         [more]\nauthorityKeyIdentifier = keyid\n",
        dir.display()
    );
    fs::write(&config, text).expect("a file");
    let mut command = Command::new("openssl");
    command.args(["ca", "-gencrl", "-crlsec", &life.as_secs().to_string(), "-config"]).arg(&config);
    must(command.arg("-keyfile").arg(ca.join("x509_ca.key.pem")).arg("-cert").arg(ca.join("x509_ca.pem")))
}
