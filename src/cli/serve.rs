//! `sallyport serve`: the gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::build_facts::{BuildFacts, VERSION};
use super::foundation::{self, Foundation};
use super::{Exit, Failure};
use crate::access::{self, Access, Addresses, Limits, Metrics, Parts, Protocol, clock};
use crate::audit::{self, Signer};
use crate::config::{self, Config};
use crate::console::Console;
use crate::domain::Event;
use crate::element::OwnDoors;
use crate::recording::Store;
use crate::{protocol, telemetry};

/// Run the gateway
///
/// Prints one line starting "listening" for each door when it is ready. SIGHUP reads policies, certificates, revocations and locks again
/// (changed files are noticed anyway); what cannot be loaded changes nothing. SIGTERM or SIGINT drains: no new sessions are taken, open ones
/// are told and have limits.drain_grace_ms to finish, then every recording is sealed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; `sallyport ca init` writes one to start from
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let config = load(&args.config)?;
    telemetry::init();
    BuildFacts::own().log();
    let runtime = runtime()?;
    let ran = runtime.block_on(async {
        let mut gateway = start(config).await?;
        gateway.print_listening();
        let asked = gateway.until_asked_to_stop().await;
        gateway.stop().await;
        asked
    });
    // A thread that waits for a disk which hangs must not keep the process.
    runtime.shutdown_timeout(EXIT_PATIENCE);
    ran
}

/// Threads that still wait for a disk are left behind after this.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// Reads a configuration for a command.
///
/// # Errors
/// Every mistake, with exit code 2.
pub(super) fn load(file: &Path) -> Result<Config, Failure> {
    config::load(file).map_err(|mistakes| Failure::usage(mistakes.join("\n")))
}

/// The runtime of a gateway.
///
/// # Errors
/// The system gives no threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // A huge page is 2 MiB of which a session needs a corner, and it is given back only when all of it is free: sessions cost more by half,
    // and their memory stays. A system that cannot do without them is no reason not to run.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Failed, format!("no runtime: {e}")))
}

/// A gateway that runs in this process.
#[derive(Debug)]
pub struct Gateway {
    access: Arc<Access>,
    /// Where its doors are.
    pub addresses: Addresses,
    /// Where metrics, health and readiness are.
    pub metrics: Option<SocketAddr>,
    reload: mpsc::Sender<()>,
    data_dir: PathBuf,
    /// What runs as long as the gateway does, each under its name: the doors, what follows files, what looks after policy's engine, metrics.
    tasks: JoinSet<&'static str>,
}

/// Starts the gateway that `config` describes.
///
/// # Errors
/// Anything that is wrong with the configuration, the policies, the inventory, the certificates or the data folder: all of it, in one text.
pub async fn start(mut config: Config) -> Result<Gateway, Failure> {
    let (bound, addresses) = access::bind(&config.doors).await.map_err(Failure::usage)?;
    let observer = match config.metrics {
        Some(listen) => {
            let failed = |e: std::io::Error| Failure::usage(format!("metrics.listen: cannot listen on {listen}: {e}"));
            let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            Some((listener, address))
        }
        None => None,
    };
    let listening = [addresses.mtls, addresses.ssh, addresses.netconf, observer.as_ref().map(|(_, address)| *address)];
    config.element.own = OwnDoors::new(listening.into_iter().flatten());
    let (doors, data_dir) = (config.doors.clone(), config.data_dir.clone());
    let access =
        tokio::task::spawn_blocking(move || assemble(config)).await.map_err(|e| Failure::new(Exit::Failed, e))??;
    if let Some(door) = addresses.mtls
        && let Err(error) = super::api::note_door(&data_dir, door)
    {
        tracing::warn!(%error, "Commands on this machine will look for the mTLS door where the configuration says.");
    }
    recover(&access).await;
    let (reload, asked) = mpsc::channel(1);
    let metrics = observer.as_ref().map(|(_, address)| *address);
    let mut tasks = JoinSet::new();
    tasks.spawn(named("doors", access::serve(access.clone(), bound, doors, protocols())));
    tasks.spawn(named("file watch", access::watch_files(access.clone(), asked)));
    tasks.spawn(named("policy engine watch", access.clone().watch_engine()));
    if let Some((listener, _)) = observer {
        tasks.spawn(named("metrics", telemetry::serve(access.clone(), listener)));
    }
    Ok(Gateway { access, addresses, metrics, reload, data_dir, tasks })
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// What the doors serve: every protocol, and the API on the gateway's own name.
fn protocols() -> Vec<&'static dyn Protocol> {
    let console: &'static dyn Protocol = &Console;
    protocol::all().iter().copied().chain([console]).collect()
}

/// Opens everything that `config` names. Blocking.
fn assemble(config: Config) -> Result<Arc<Access>, Failure> {
    let Foundation { rules, trust, locks, signer, warnings } =
        foundation::lay(&config, clock::now()).map_err(|problems| Failure::usage(problems.join("\n")))?;
    for warning in warnings {
        tracing::warn!(warning, "Needs somebody.");
    }
    let failed = |what: &str, e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{what}: {e}"));
    let signer = match signer {
        Some(signer) => signer,
        None => Signer::open_or_create(&config.signing_key_file).map_err(Failure::usage)?,
    };
    let log =
        audit::Log::open(config.audit, signer.clone()).map_err(|e| failed("the audit log cannot be opened", &e))?;
    let recordings =
        Store::open(config.recording, signer).map_err(|e| failed("the recordings cannot be opened", &e))?;
    let metrics = Metrics::new().map_err(|e| failed("metrics", &e))?;
    let limits: Limits = config.limits;
    let parts = Parts {
        netconf_accounts: config.doors.netconf.map(|door| door.accounts).unwrap_or_default(),
        subsystems: protocol::subsystems(),
        name: config.name,
        domain: config.domain,
        limits,
        rules,
        trust: Arc::new(trust),
        locks,
        log,
        recordings,
        element: config.element,
        metrics,
    };
    Ok(Access::new(parts))
}

/// Seals what an earlier process left, and notes the start.
async fn recover(access: &Arc<Access>) {
    let revision = access.rules().current().policy.revision().clone();
    let version = VERSION.to_owned();
    access.report(clock::now(), Event::GatewayStarted { version, name: access.name().to_owned(), revision }).await;
    // What was locked or unlocked while no gateway ran.
    access.audit_locks().await;
    let recovering = access.clone();
    let recovered =
        tokio::task::spawn_blocking(move || recovering.recover_recordings(clock::now())).await.unwrap_or_default();
    for result in recovered {
        match result {
            Ok(sealed) => {
                tracing::warn!(recording = sealed.recording, "An unfinished recording was sealed as aborted.");
                let (session, recording, attested) = (sealed.session, sealed.recording, Some(sealed.attested));
                let event = Event::RecordingRecovered {
                    session,
                    recording,
                    frames: sealed.facts.frames,
                    digest: sealed.facts.digest,
                    attested,
                };
                access.report(clock::now(), event).await;
            }
            Err(error) => {
                tracing::error!(%error, "An unfinished recording could not be sealed.");
                access.alarm("recording-not-recovered", error.to_string()).await;
            }
        }
    }
}

impl Gateway {
    /// The path it runs.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// One line for each door, on standard output, for people and scripts.
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub(super) fn print_listening(&self) {
        let Addresses { mtls, ssh, netconf } = self.addresses;
        let lines = [("mtls", mtls), ("ssh", ssh), ("netconf", netconf), ("metrics", self.metrics)];
        for (name, address) in lines {
            if let Some(address) = address {
                println!("listening {name} {address}");
            }
        }
    }

    /// Waits for SIGTERM or SIGINT; SIGHUP reloads meanwhile.
    ///
    /// # Errors
    /// Signals cannot be received, or something without which the gateway must not go on has ended by itself.
    pub(super) async fn until_asked_to_stop(&mut self) -> Result<(), Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::new(Exit::Failed, format!("signals: {e}")));
        let (mut hangup, mut terminate, mut interrupt) =
            (listen(SignalKind::hangup())?, listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    // A full channel means that a reload is due anyway.
                    self.reload.try_send(()).ok();
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                Some(ended) = self.tasks.join_next() => {
                    let what = ended.map_or_else(|error| error.to_string(), |name| format!("{name} ended by itself"));
                    return Err(Failure::new(Exit::Failed, format!("the gateway stops: {what}")));
                }
            }
        }
    }

    /// Drains and stops. Every recording is sealed and the log closed when this returns.
    pub async fn stop(mut self) {
        super::api::forget_door(&self.data_dir);
        self.access.drain().await;
        self.tasks.shutdown().await;
    }
}
