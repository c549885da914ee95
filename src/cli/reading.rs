//! Reading a gateway's data by its configuration: as an identity, decided by its policy, noted in its audit log.
//!
//! A gateway that runs is asked. One that does not cannot be, so the same checks, the same policy and the same log are used from here.

use std::path::Path;

use super::clock::now;
use super::data::{Data, UNMASKED};
use super::mask::View;
use super::{Exit, Failure, api, ca, serve};
use crate::access::Rules;
use crate::audit::{Log, Signer};
use crate::config::Config;
use crate::console::AskBody;
use crate::domain::{Account, Action, ElementName, Event, RequestFacts, SessionId, Verb, Via};
use crate::identity::folder::IdentityFolder;
use crate::identity::{Locks, TrustStore, Verified};
use crate::policy::{Ask, Masks, permit, read_models};

/// Hands the data of the gateway configured in `config` to `read`, guarded.
pub(super) fn with(
    config: &Path,
    identity: Option<&Path>,
    read: impl FnOnce(&Data<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = serve::load(config)?;
    let folder = ca::identity_folder(identity)?;
    let (audit, recordings) = (config.audit.dir.clone(), config.recording.dir.clone());
    let view = view(&config.policies_dir);
    match api::find(&config, &folder)? {
        Some(gateway) => {
            let ask = |action: &Action, how: Option<&str>| {
                let body = AskBody { verb: action.verb, object: action.object.clone(), how: how.map(str::to_owned) };
                gateway.ask(&body).map(drop).map_err(Failure::from)
            };
            // What `how` begins with is the command, and an export is decided as one; what shows secrets is decided as that.
            let note_read = |session: SessionId, how: &str| {
                let verb = match how {
                    how if how.ends_with(UNMASKED) => Verb::GatewayReplayUnmasked,
                    how if how.starts_with("export") => Verb::GatewayExport,
                    _ => Verb::GatewayReplay,
                };
                ask(&Action::new(verb, session.to_string()), Some(how))
            };
            read(&Data { audit, recordings, authorise: &|action| ask(action, None), note_read: &note_read, view })
        }
        None => {
            let standing_in = StandIn::new(config, &folder)?;
            read(&Data {
                audit,
                recordings,
                authorise: &|action| standing_in.authorise(action),
                note_read: &|session, how| standing_in.note_read(session, how),
                view,
            })
        }
    }
}

/// How secrets are shown by the policy folder as it is now. SECURITY: where it does not tell what is secret, no message is shown.
fn view(policies: &Path) -> View {
    let nothing = |why: String| View::Nothing(format!("what is secret cannot be read from models.toml: {why}"));
    match std::fs::read_to_string(policies.join("models.toml")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => View::Masked(Masks::default()),
        Err(error) => nothing(error.to_string()),
        Ok(text) => match read_models(&text) {
            Ok((_, masks)) => View::Masked(masks),
            Err(problems) => nothing(problems.first().map_or(String::new(), ToString::to_string)),
        },
    }
}

/// Decides and notes for a gateway that does not run.
struct StandIn {
    config: Config,
    rules: Rules,
    who: Verified,
}

impl StandIn {
    fn new(config: Config, folder: &Path) -> Result<Self, Failure> {
        let rules = Rules::load(&config.policies_dir).map_err(|found| {
            let lines: Vec<_> = found.iter().map(|p| format!("{}:{}: {}", p.file, p.line, p.text)).collect();
            Failure::usage(lines.join("\n"))
        })?;
        let trust = TrustStore::open(config.trust.clone()).map_err(|problems| Failure::usage(problems.join("\n")))?;
        let locks = Locks::open(&config.locks_file).map_err(Failure::usage)?;
        let who = IdentityFolder::at(folder)
            .verify(&trust, &locks, now())
            .map_err(|e| Failure::new(Exit::Denied, format!("{}: {e}", folder.display())))?;
        Ok(Self { config, rules, who })
    }

    fn authorise(&self, action: &Action) -> Result<(), Failure> {
        let (element, at) = (ElementName::gateway(), now());
        let account: Account = "gateway".parse().map_err(Failure::usage)?;
        let ask = Ask { element: &element, account: &account, action, at, session_opened_at: at };
        let permit = permit(&self.rules.policy, &self.who, &ask).map_err(|denied| {
            let event = Event::Denied {
                request: RequestFacts::from(&denied.request),
                decision: (&denied.decision).into(),
                session: None,
            };
            let noted = self.append(event);
            let text = format!(
                "{} is not allowed for {}; ask {}",
                action,
                self.who.identity().name(),
                self.rules.policy.contact()
            );
            match noted {
                Ok(()) => Failure::new(Exit::Denied, text),
                Err(failure) => {
                    Failure::new(Exit::Denied, format!("{text} (and the denial could not be logged: {})", failure.text))
                }
            }
        })?;
        if matches!(action.verb, Verb::GatewayWatch | Verb::GatewayAudit) {
            let by = permit.request().who.clone();
            self.append(Event::StateRead { by, action: action.clone(), via: Via::CommandLine })?;
        }
        Ok(())
    }

    fn note_read(&self, session: SessionId, how: &str) -> Result<(), Failure> {
        let by = self.who.identity().clone();
        self.append(Event::RecordingRead { session, by, how: how.to_owned(), via: Via::CommandLine })
    }

    fn append(&self, event: Event) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("the audit log: {e}"));
        let signer = Signer::open_or_create(&self.config.signing_key_file).map_err(|e| failed(&e))?;
        let log = Log::open(self.config.audit.clone(), signer).map_err(|e| failed(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        let appended = runtime.block_on(async {
            let receipt = log.append(now(), event).await;
            log.close().await;
            receipt
        });
        appended.map(drop).map_err(|e| failed(&e))
    }
}
