//! Reloading: when a file changes or an operator asks, policy, trust and locks are read again; what cannot be loaded changes nothing.
//!
//! Locks and trust have their own way and never wait for a policy set to be compiled: whoever is shut out is shut out at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::own::added as added_event;
use super::places::{Place, Watch};
use super::{Access, Reloaded, clock};
use crate::domain::{Event, Via};
use crate::identity::locks::Changes;

/// An editor writes a file in several steps; what comes within this is one change.
const SETTLE: Duration = Duration::from_millis(40);
/// Where file notifications are not to be had or are lost, files are read again this often.
const POLL: Duration = Duration::from_secs(30);

/// Watches the files that `access` depends on, and reloads them when they change or when `asked` says so. Runs until the gateway drains.
pub async fn watch_files(access: Arc<Access>, mut asked: mpsc::Receiver<()>) {
    let (shut_out, rules) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let asking = async {
        while asked.recv().await.is_some() {
            tracing::info!("Reloading as asked.");
            shut_out.notify_one();
            rules.notify_one();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = follow_trust_and_locks(&access, &shut_out) => {}
        () = follow_rules(&access, &rules) => {}
        () = asking => {}
        () = access.draining().cancelled() => {}
    }
}

/// A watch that wakes `wake`.
fn watch(places: &[Place], wake: &Arc<Notify>) -> Watch {
    let wake = wake.clone();
    Watch::new(places.to_vec(), Arc::new(move || wake.notify_one()))
}

/// Does what reads the disk on a thread that may wait for it. A fault in it is told, and costs nothing but this one attempt.
async fn reading<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.inspect_err(|error| tracing::error!(%error, "A reload failed without an answer; what was in force stays."))
        .ok()
}

/// Waits until files may have changed, and until they lie still.
async fn changed(wake: &Notify) {
    if tokio::time::timeout(POLL, wake.notified()).await.is_ok() {
        tokio::time::sleep(SETTLE).await;
    }
}

async fn follow_trust_and_locks(access: &Arc<Access>, wake: &Arc<Notify>) {
    let files = access.trust().files().into_iter().chain([access.locks().file().to_owned()]);
    let files: Vec<Place> = files.map(Place::File).collect();
    let mut armed = watch(&files, wake);
    let (mut told_trust, mut told_locks) = (None, None);
    let mut warned = access.trust().current().warnings(clock::now());
    loop {
        let loading = access.clone();
        let work = move || {
            armed.renew();
            (loading.locks().reload(), loading.trust().reload(clock::now()), armed)
        };
        let Some((locks, trust, back)) = reading(work).await else {
            armed = watch(&files, wake);
            changed(wake).await;
            continue;
        };
        armed = back;
        match locks {
            Ok(_) => told_locks = None,
            Err(error) => {
                let text = error.to_string();
                if told_locks.as_ref() != Some(&text) {
                    tracing::error!(%error, "The locks cannot be read; those in force stay.");
                    told_locks = Some(text);
                }
            }
        }
        access.audit_locks().await;
        report_trust(access, trust, &mut told_trust).await;
        warn(&mut warned, access.trust().current().warnings(clock::now()));
        changed(wake).await;
    }
}

async fn follow_rules(access: &Arc<Access>, wake: &Arc<Notify>) {
    let folder = [Place::Tree(access.rules().dir().to_owned())];
    let mut armed = watch(&folder, wake);
    let mut told = None;
    let warnings = || {
        let warnings = access.rules().current().warnings(clock::now());
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut warned = warnings();
    loop {
        let loading = access.clone();
        let work = move || {
            armed.renew();
            (loading.rules().reload(), armed)
        };
        let Some((reloaded, back)) = reading(work).await else {
            armed = watch(&folder, wake);
            changed(wake).await;
            continue;
        };
        armed = back;
        report_rules(access, reloaded, &mut told).await;
        warn(&mut warned, warnings());
        changed(wake).await;
    }
}

/// Tells what needs somebody, when it is new; what counts days is new every day.
fn warn(told: &mut Vec<String>, warnings: Vec<String>) {
    for warning in warnings.iter().filter(|warning| !told.contains(warning)) {
        tracing::warn!(warning, "Needs somebody.");
    }
    *told = warnings;
}

async fn report_trust(access: &Access, trust: Result<bool, Vec<String>>, told: &mut Option<String>) {
    match trust {
        Ok(changed) => {
            *told = None;
            if changed {
                let detail = "certificates, authorities and revocations".to_owned();
                access.report(clock::now(), Event::TrustLoaded { detail }).await;
            }
        }
        Err(problems) => {
            let problem = problems.join("\n");
            if told.as_ref() != Some(&problem) {
                tracing::error!(problem, "Certificates or revocations cannot be loaded; what was in force stays.");
                access.report(clock::now(), Event::TrustRejected { problem: problem.clone() }).await;
                *told = Some(problem);
            }
        }
    }
}

impl Access {
    /// Writes to the log how the locks in force differ from those it knows of: what somebody changed in the file, while the gateway ran or
    /// while it did not.
    pub async fn audit_locks(self: &Arc<Self>) {
        let _one_at_a_time = self.auditing_locks.lock().await;
        let Changes { added, removed } = self.locks().unnoted();
        for lock in added {
            tracing::warn!(subject = %lock.subject, reason = lock.reason, by = lock.by, "Locked.");
            let event = added_event(&lock, Via::CommandLine);
            self.audit_lock(event, Changes { added: vec![lock], removed: Vec::new() }).await;
        }
        for lock in removed {
            let subject = lock.subject.to_string();
            tracing::warn!(subject, "Unlocked.");
            let by = "whoever may write the gateway's files".to_owned();
            let event = Event::LockRemoved { subject, by, via: Via::CommandLine };
            self.audit_lock(event, Changes { added: Vec::new(), removed: vec![lock] }).await;
        }
    }

    /// Writes one change of the locks to the log. Only what is in the log is noted: the rest is tried again.
    async fn audit_lock(self: &Arc<Self>, event: Event, changes: Changes) {
        if self.append(clock::now(), event).await.is_ok() {
            self.noted_locks(changes).await;
        }
    }
}

async fn report_rules(access: &Access, reloaded: Reloaded, told: &mut Option<Vec<String>>) {
    let count = |result: &str| access.metrics().reloads.with_label_values(&[result]).inc();
    match reloaded {
        Reloaded::Unchanged => *told = None,
        Reloaded::Swapped { revision, previous } => {
            count("loaded");
            *told = None;
            tracing::info!(revision = revision.short(), "A new policy set is in force.");
            access.report(clock::now(), Event::PolicyLoaded { revision, previous: Some(previous) }).await;
        }
        Reloaded::Rejected { in_force, problems } => {
            let problems: Vec<_> = problems.iter().map(|p| format!("{}:{}: {}", p.file, p.line, p.text)).collect();
            if told.as_ref() == Some(&problems) {
                return;
            }
            count("rejected");
            *told = Some(problems.clone());
            tracing::error!(
                in_force = in_force.short(),
                problems = problems.join("\n"),
                "The policy set on disk is wrong; the one before stays in force."
            );
            access.report(clock::now(), Event::PolicyRejected { in_force, problems }).await;
        }
    }
}
