//! Reloading: when a file changes or an operator asks, policy, trust and locks are read again; what cannot be loaded changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::{Access, Reloaded, clock};
use crate::domain::{Event, Via};

/// An editor writes a file in several steps; what comes within this is one change.
const SETTLE: Duration = Duration::from_millis(40);
/// Where file notifications are not to be had or are lost, files are read again this often.
const POLL: Duration = Duration::from_secs(30);

/// Watches the files that `access` depends on, and reloads them when they change or when `asked` says so. Runs until the gateway drains.
pub async fn watch_files(access: Arc<Access>, mut asked: mpsc::Receiver<()>) {
    let (sender, mut changes) = mpsc::channel::<()>(1);
    let watcher = watch(&access, sender);
    if let Err(error) = &watcher {
        tracing::warn!(%error, "Files cannot be watched; they are read again every {} s.", POLL.as_secs());
    }
    let mut told = Told::default();
    loop {
        tokio::select! {
            Some(()) = changes.recv() => tokio::time::sleep(SETTLE).await,
            Some(()) = asked.recv() => tracing::info!("Reloading as asked."),
            () = tokio::time::sleep(POLL) => {}
            () = access.draining().cancelled() => return,
        }
        while changes.try_recv().is_ok() {}
        reload(&access, &mut told).await;
    }
}

fn watch(access: &Access, sender: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let read_only = matches!(&event, Ok(event) if matches!(event.kind, notify::EventKind::Access(_)));
        if !read_only {
            // A full channel means that a reload is due anyway.
            sender.try_send(()).ok();
        }
    })?;
    watcher.watch(access.rules().dir(), RecursiveMode::Recursive)?;
    // Folders, not files: a file that is replaced by renaming is another file.
    let mut folders: Vec<PathBuf> =
        access.trust().files().iter().filter_map(|f| f.parent().map(Path::to_owned)).collect();
    folders.extend(access.locks().file().parent().map(Path::to_owned));
    folders.sort();
    folders.dedup();
    for folder in folders {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// What was last told to be wrong, so that the same is not told at every look.
#[derive(Default)]
struct Told {
    trust: Option<String>,
    rules: Option<Vec<String>>,
}

/// Reads everything again.
async fn reload(access: &Arc<Access>, told: &mut Told) {
    let loading = access.clone();
    let work = move || {
        let locks = loading.locks().reload();
        let trust = loading.trust().reload();
        let rules = loading.rules().reload();
        (locks, trust, rules)
    };
    let Ok((locks, trust, rules)) = tokio::task::spawn_blocking(work).await else {
        tracing::error!("A reload failed without an answer; what was in force stays.");
        return;
    };
    report_locks(access, locks).await;
    match trust {
        Ok(changed) => {
            told.trust = None;
            if changed {
                let detail = "certificates, authorities and revocations".to_owned();
                access.report(clock::now(), Event::TrustLoaded { detail }).await;
            }
        }
        Err(problems) => {
            let problem = problems.join("\n");
            if told.trust.as_ref() != Some(&problem) {
                tracing::error!(problem, "Certificates or revocations cannot be loaded; what was in force stays.");
                access.report(clock::now(), Event::TrustRejected { problem: problem.clone() }).await;
                told.trust = Some(problem);
            }
        }
    }
    report_rules(access, rules, &mut told.rules).await;
}

async fn report_locks(access: &Access, locks: std::io::Result<crate::identity::locks::Changes>) {
    match locks {
        Ok(changes) => {
            for lock in changes.added {
                let subject = String::from(lock.subject);
                tracing::warn!(subject, reason = lock.reason, by = lock.by, "Locked.");
                let event = Event::LockAdded {
                    subject,
                    reason: lock.reason,
                    until: lock.until,
                    by: lock.by,
                    via: Via::CommandLine,
                };
                access.report(clock::now(), event).await;
            }
            for lock in changes.removed {
                let subject = String::from(lock.subject);
                access
                    .report(
                        clock::now(),
                        Event::LockRemoved {
                            subject,
                            by: "whoever may write the gateway's files".to_owned(),
                            via: Via::CommandLine,
                        },
                    )
                    .await;
            }
        }
        Err(error) => tracing::error!(%error, "The locks cannot be read; those in force stay."),
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
