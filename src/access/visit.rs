//! A visit: an identified client that may ask.

use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, Notify};

use super::session::{Grant, Session};
use super::{Access, Refusal, clock};
use crate::domain::{Account, Action, Event, Outcome, RefusalStage, RequestFacts, Timestamp};
use crate::identity::{IdentityError, Verified};
use crate::policy::{Ask, Denied, Permit, forbid};
use crate::recording::{Exchange, Frame};

/// Where a visit is with its session.
#[derive(Debug)]
enum Phase {
    /// Nothing was allowed yet.
    Before,
    /// It is open.
    Open(Arc<Session>),
    /// The visit is over; nothing opens any more.
    Over,
}

/// An identified client, bound for one account on one element. Nothing is open yet.
#[derive(Debug)]
pub struct Visit {
    access: Arc<Access>,
    verified: Arc<Verified>,
    element: crate::domain::ElementName,
    account: Account,
    protocol: &'static str,
    session: Mutex<Phase>,
    /// What the log is told beside the outcome.
    ended_because: std::sync::Mutex<Option<String>>,
    woken: Arc<Notify>,
    began: Timestamp,
}

impl Visit {
    /// A visit of `verified` to `element` as `account`.
    pub fn new(
        access: Arc<Access>,
        verified: Arc<Verified>,
        element: crate::domain::ElementName,
        account: Account,
        protocol: &'static str,
    ) -> Arc<Self> {
        Arc::new(Self {
            access,
            verified,
            element,
            account,
            protocol,
            session: Mutex::new(Phase::Before),
            ended_because: std::sync::Mutex::new(None),
            woken: Arc::default(),
            began: clock::now(),
        })
    }

    /// The path this visit is on.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Who visits.
    pub fn verified(&self) -> &Arc<Verified> {
        &self.verified
    }

    /// What they visit.
    pub fn element(&self) -> &crate::domain::ElementName {
        &self.element
    }

    /// The account on it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The protocol it speaks.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Notes for the log why the visit ends, beside the outcome.
    pub(super) fn note_end(&self, why: String) {
        *self.ended_because.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// When it began.
    pub(super) fn began(&self) -> Timestamp {
        self.began
    }

    /// Notified when there is something new to supervise.
    pub(super) fn woken(&self) -> &Arc<Notify> {
        &self.woken
    }

    /// The session, once something was allowed.
    pub async fn session(&self) -> Option<Arc<Session>> {
        match &*self.session.lock().await {
            Phase::Open(session) => Some(session.clone()),
            Phase::Before | Phase::Over => None,
        }
    }

    /// Asks for `action` on channel `channel`. The first that is allowed opens the session: its recorder is open and the audit log
    /// knows of it before this returns.
    ///
    /// # Errors
    /// Denied, or the session could not be opened; either way the log knows why.
    pub async fn ask(self: &Arc<Self>, channel: u32, action: &Action) -> Result<Grant, Refusal> {
        self.ask_with(channel, action, None).await
    }

    /// The same for a channel on which `first` is all that the client sends: when it is allowed, both are recorded in one piece.
    ///
    /// # Errors
    /// As with [`Visit::ask`].
    pub async fn ask_with(
        self: &Arc<Self>,
        channel: u32,
        action: &Action,
        first: Option<&Exchange>,
    ) -> Result<Grant, Refusal> {
        if let Some(open) = self.session().await {
            return open.ask(channel, action, first).await;
        }
        let grant = self.ask_first(channel, action).await?;
        if let Some(exchange) = first {
            grant.session().record(&Frame::Exchange { channel, exchange }).map_err(Refusal::Unavailable)?;
        }
        Ok(grant)
    }

    async fn ask_first(self: &Arc<Self>, channel: u32, action: &Action) -> Result<Grant, Refusal> {
        // Opening must not be dropped half way, whatever becomes of the client: what the log calls opened must be closed.
        let (visit, action) = (self.clone(), action.clone());
        let opening = self.access.tasks().spawn(async move { visit.open(channel, &action).await });
        opening.await.unwrap_or(Err(Refusal::Unavailable(Outcome::ProtocolError)))
    }

    async fn open(&self, channel: u32, action: &Action) -> Result<Grant, Refusal> {
        let mut phase = self.session.lock().await;
        match &*phase {
            Phase::Open(open) => {
                let open = open.clone();
                drop(phase);
                return open.ask(channel, action, None).await;
            }
            Phase::Over => return Err(Refusal::Unavailable(Outcome::ClientClosed)),
            Phase::Before => {}
        }
        let now = clock::now();
        if self.access.draining().is_cancelled() {
            refused(&self.access, &self.verified, "the gateway is draining").await;
            return Err(Refusal::Unavailable(Outcome::Shutdown));
        }
        if let Err(unwelcome) = self.still_welcome(now) {
            refused(&self.access, &self.verified, &unwelcome.why).await;
            return Err(Refusal::Unavailable(unwelcome.outcome));
        }
        let permit = match self.decide(action, now) {
            Ok(permit) => permit,
            Err(denied) => return Err(self.denied(now, &denied).await),
        };
        let opened = Session::open(self, permit, now).await?;
        // The grant comes before anybody can close the session.
        let grant = opened.grant_opening(channel);
        *phase = Phase::Open(opened);
        grant
    }

    /// Asks policy, and nothing more.
    fn decide(&self, action: &Action, now: Timestamp) -> Result<Permit, Box<Denied>> {
        let rules = self.access.rules().current();
        let ask = Ask { element: &self.element, account: &self.account, action, at: now, session_opened_at: now };
        let answer = self.access.decide(&rules, &self.verified, &ask);
        self.access.count(&answer);
        answer
    }

    /// Whether the identity is still admitted and neither it nor the element is locked.
    pub(super) fn still_welcome(&self, now: Timestamp) -> Result<(), Unwelcome> {
        self.access.still_welcome(&self.verified, Some(&self.element), now)
    }

    async fn denied(&self, now: Timestamp, denied: &Denied) -> Refusal {
        denied_event(&self.access, now, denied, None).await;
        Refusal::denied(denied, self.access.rules().current().policy.contact())
    }

    /// Says no to what the gateway does for nobody, or cannot even put to policy, and logs it like a denial.
    pub async fn forbid(&self, channel: u32, action: &Action, why: &str) -> Refusal {
        if let Some(session) = self.session().await {
            let refusal = session.forbid(channel, action, why);
            session.report_denials().await;
            return refusal;
        }
        let now = clock::now();
        let rules = self.access.rules().current();
        let ask = Ask { element: &self.element, account: &self.account, action, at: now, session_opened_at: now };
        self.denied(now, &forbid(&rules.policy, &self.verified, &ask, why)).await
    }

    /// Ends the session, if one was opened, and returns when it is sealed and logged.
    pub async fn close(&self, outcome: Outcome) {
        let phase = std::mem::replace(&mut *self.session.lock().await, Phase::Over);
        if let Phase::Open(session) = phase {
            let detail = self.ended_because.lock().unwrap_or_else(PoisonError::into_inner).take();
            session.close(outcome, detail).await;
        }
    }
}

/// Why a client that was admitted is not any more.
#[derive(Debug)]
pub(super) struct Unwelcome {
    /// What becomes of its session.
    pub(super) outcome: Outcome,
    /// For the log.
    pub(super) why: String,
}

impl From<IdentityError> for Unwelcome {
    fn from(error: IdentityError) -> Self {
        let outcome = match error {
            IdentityError::Expired(_) => Outcome::Expired,
            IdentityError::Revoked => Outcome::Revoked,
            IdentityError::Locked(_) => Outcome::Locked,
            IdentityError::Unacceptable(_) => Outcome::Untrusted,
        };
        Self { outcome, why: error.to_string() }
    }
}

impl Access {
    /// Whether a client that was admitted would still be, and neither it nor the element is locked.
    pub(super) fn still_welcome(
        &self,
        who: &Verified,
        element: Option<&crate::domain::ElementName>,
        now: Timestamp,
    ) -> Result<(), Unwelcome> {
        self.trust().current().still_admits(who, now)?;
        self.not_locked(who, element, now)
    }

    /// Whether neither the client nor the element is locked.
    pub(super) fn not_locked(
        &self,
        who: &Verified,
        element: Option<&crate::domain::ElementName>,
        now: Timestamp,
    ) -> Result<(), Unwelcome> {
        match self.locks().find(who, element, now) {
            Some(lock) => {
                Err(Unwelcome { outcome: Outcome::Locked, why: format!("{}: {}", lock.subject, lock.reason) })
            }
            None => Ok(()),
        }
    }
}

pub(super) async fn denied_event(
    access: &Access,
    now: Timestamp,
    denied: &Denied,
    session: Option<crate::domain::SessionId>,
) {
    access.metrics().decisions.with_label_values(&["deny"]).inc();
    if !access.logs_denial(&denied.request.who) {
        return;
    }
    let mut request = RequestFacts::from(&denied.request);
    clip(&mut request.action.object);
    tracing::info!(identity = %request.identity, element = %request.element, action = %request.action, "Denied.");
    access.report(now, Event::Denied { request, decision: (&denied.decision).into(), session }).await;
}

/// Objects longer than this are logged by their beginning, length and digest: whoever is denied must not fill the log.
const OBJECT_BYTES_MAX: usize = 1_024;

fn clip(object: &mut String) {
    let whole = object.len();
    if whole <= OBJECT_BYTES_MAX {
        return;
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, object.as_bytes());
    let kept = (0..=OBJECT_BYTES_MAX).rev().find(|at| object.is_char_boundary(*at)).unwrap_or(0);
    object.truncate(kept);
    let digest = data_encoding::HEXLOWER.encode(digest.as_ref());
    object.push_str(&format!("... ({whole} bytes in all, SHA-256 {digest})"));
}

pub(super) async fn refused(access: &Access, who: &Verified, reason: &str) {
    access.metrics().refusals.with_label_values(&["open"]).inc();
    let event = Event::Refused {
        door: who.door(),
        stage: RefusalStage::Open,
        source: Some(who.peer()),
        identity: Some(who.identity().to_string()),
        reason: reason.to_owned(),
    };
    access.report_refusal(event).await;
}
