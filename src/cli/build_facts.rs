//! The facts of this build, as `build.rs` found them: what a bug report, an auditor or a packager asks first.

use serde::Serialize;

/// Version and commit in one line, also for the log and the audit log.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SALLYPORT_COMMIT"), ")");

/// What `--version` says behind the program's name; `-V` says the first line.
pub(super) const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("SALLYPORT_COMMIT"),
    ")\ncompiler   ",
    env!("SALLYPORT_RUSTC"),
    "\ntarget     ",
    env!("SALLYPORT_TARGET"),
    "\nprofile    ",
    env!("SALLYPORT_PROFILE"),
    "\nfeatures   ",
    env!("SALLYPORT_FEATURES"),
    "\nTLS        rustls ",
    env!("SALLYPORT_RUSTLS"),
    " with aws-lc-rs ",
    env!("SALLYPORT_AWS_LC_RS"),
    "\nSSH        russh ",
    env!("SALLYPORT_RUSSH"),
    " with aws-lc-rs ",
    env!("SALLYPORT_AWS_LC_RS"),
    "\npolicy     casbin ",
    env!("SALLYPORT_CASBIN"),
    "\nunsafe     forbidden",
);

/// The same for scripts.
#[derive(Debug, Serialize)]
pub(super) struct BuildFacts {
    version: &'static str,
    commit: &'static str,
    rustc: &'static str,
    target: &'static str,
    profile: &'static str,
    features: Vec<&'static str>,
    tls_provider: &'static str,
    libraries: Libraries,
}

#[derive(Debug, Serialize)]
struct Libraries {
    #[serde(rename = "aws-lc-rs")]
    aws_lc_rs: &'static str,
    casbin: &'static str,
    russh: &'static str,
    rustls: &'static str,
}

impl BuildFacts {
    /// Those of this program.
    pub(super) fn own() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("SALLYPORT_COMMIT"),
            rustc: env!("SALLYPORT_RUSTC"),
            target: env!("SALLYPORT_TARGET"),
            profile: env!("SALLYPORT_PROFILE"),
            features: env!("SALLYPORT_FEATURES").split(',').filter(|feature| *feature != "none").collect(),
            tls_provider: "aws-lc-rs",
            libraries: Libraries {
                aws_lc_rs: env!("SALLYPORT_AWS_LC_RS"),
                casbin: env!("SALLYPORT_CASBIN"),
                russh: env!("SALLYPORT_RUSSH"),
                rustls: env!("SALLYPORT_RUSTLS"),
            },
        }
    }
    /// The first line of a gateway's log.
    pub(super) fn log(&self) {
        let Self { version, commit, rustc, profile, tls_provider, .. } = self;
        let Libraries { aws_lc_rs, casbin, russh, rustls } = self.libraries;
        // A log line has a `target` already, which is another thing.
        let (build_target, features) = (self.target, self.features.join(","));
        tracing::info!(
            version,
            commit,
            rustc,
            build_target,
            profile,
            features,
            tls_provider,
            aws_lc_rs,
            casbin,
            russh,
            rustls,
            "Sallyport starts."
        );
    }
}
