//! What a session allows on one channel, and the way from there to the element.

use std::sync::Arc;

use tokio::sync::SemaphorePermit;

use super::{Session, Standing};
use crate::access::{Refusal, Stop, clock};
use crate::domain::{Action, Event, Obligation, Outcome, Timestamp};
use crate::element::{self, Element, LinkFacts, LinkSink, Listen, Opening, Service};
use crate::identity::issue;
use crate::policy::Permit;
use crate::recording::Frame;

/// One allowed channel of a session. Dropping it records that the channel is closed and forgets the grant.
#[derive(Debug)]
pub struct Grant {
    pub(super) session: Arc<Session>,
    pub(super) channel: u32,
    pub(super) permit: Permit,
    pub(super) stop: Stop,
    /// How the channel ended, when nobody says otherwise.
    pub(super) outcome: Outcome,
    /// Whether its end is on record.
    pub(super) ended: bool,
}

/// A turn to dial, and whom.
struct Turn<'a> {
    element: Arc<Element>,
    now: Timestamp,
    _permit: SemaphorePermit<'a>,
}

impl Grant {
    /// The session it is part of.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits until the channel must end: it alone, or the whole session.
    pub async fn stopped(&self) -> Outcome {
        tokio::select! {
            outcome = self.session.stop.stopped() => outcome,
            outcome = self.stop.stopped() => outcome,
        }
    }

    /// The same, for whoever must not hold the grant itself. Cancel safe.
    pub fn stopping(&self) -> impl Future<Output = Outcome> + Send + use<> {
        let (session, channel) = (self.session.stop.clone(), self.stop.clone());
        async move {
            tokio::select! {
                outcome = session.stopped() => outcome,
                outcome = channel.stopped() => outcome,
            }
        }
    }

    /// What was asked to stop so far.
    pub fn stop_requested(&self) -> Option<Outcome> {
        self.session.stop.requested().or_else(|| self.stop.requested())
    }

    /// What was allowed.
    pub fn action(&self) -> &Action {
        &self.permit.request().action
    }

    /// What must hold while it is allowed, when it was decided.
    pub fn obligations(&self) -> &[Obligation] {
        &self.permit.decision().obligations
    }

    /// Names what the channel goes on doing, so that it is decided again with the channel itself.
    pub fn stands_by(&self, standing: Arc<dyn Standing>) {
        if let Some(grant) = self.session.channels().granted.get_mut(&self.channel) {
            grant.standing = Some(standing);
        }
        // What was allowed before this may be denied since, or end at an hour of its own.
        self.session.woken.notify_one();
    }

    /// Dials the element as this identity, with everything that must be true proved by the grant's existence.
    ///
    /// # Errors
    /// It was not reached; the log knows why.
    pub async fn dial<S: LinkSink>(&self, opening: Opening, sink: S) -> Result<(element::Link<S>, LinkFacts), Refusal> {
        let session = &self.session;
        let Turn { element, now, .. } = &self.turn().await?;
        let minted = self.login(*now).await?;
        let config = &session.access.parts.element;
        let dialled = element::dial(config, element, &self.permit, &minted, *now, opening, sink).await;
        self.reached(dialled).await
    }

    /// Dials the element as this identity and makes it listen, on a link of the listener's own.
    ///
    /// # Errors
    /// It was not reached, or does not listen there; the log knows why.
    pub async fn listen<S: LinkSink>(
        &self,
        listen: Listen,
        sink: S,
    ) -> Result<(element::Listening<S>, LinkFacts), Refusal> {
        let session = &self.session;
        let Turn { element, now, .. } = &self.turn().await?;
        let minted = self.login(*now).await?;
        let config = &session.access.parts.element;
        let dialled = element::listen(config, element, &self.permit, &minted, *now, listen, sink).await;
        self.reached(dialled).await
    }

    /// Dials a service of the element over TLS as this identity. `alpn` are the protocols to agree on, best first.
    ///
    /// # Errors
    /// It was not reached; the log knows why.
    pub async fn dial_tls(&self, service: Service, alpn: &[&[u8]]) -> Result<(element::TlsLink, LinkFacts), Refusal> {
        let session = &self.session;
        let Turn { element, now, .. } = &self.turn().await?;
        let config = &session.access.parts.element;
        let trust = session.access.trust().current();
        let account = &self.permit.request().account;
        let ttl = config.connect_timeout.saturating_mul(2);
        let minted = match issue::element_x509(&trust, &session.verified, account, *now, ttl) {
            Ok(minted) => minted,
            Err(error) => {
                session.unreachable(&format!("a client certificate could not be made: {error}")).await;
                return Err(Refusal::Unavailable(Outcome::ElementUnreachable));
            }
        };
        let dialled = element::dial_tls(config, element, &self.permit, service, minted.as_ref(), *now, alpn).await;
        self.reached(dialled).await
    }

    /// Reports that the element was reached and then did not answer the request.
    pub async fn unanswered(&self) {
        let within = self.session.access.limits().answer_timeout;
        self.session.unreachable(&format!("it did not answer the request within {within:?}")).await;
    }

    /// Waits for a turn to dial. The element is the one that the inventory has now: an address or a key that
    /// was taken out since is not used.
    async fn turn(&self) -> Result<Turn<'_>, Refusal> {
        let session = &self.session;
        let unreachable = Refusal::Unavailable(Outcome::ElementUnreachable);
        let Ok(turn) = session.dials.acquire().await else { return Err(unreachable) };
        let rules = session.access.rules().current();
        let request = &session.facts.request;
        let element = match rules.inventory.reach(&request.element, &request.account, &session.facts.protocol) {
            Ok(element) => element.clone(),
            Err(reason) => {
                session.unreachable(reason).await;
                return Err(unreachable);
            }
        };
        Ok(Turn { element, now: clock::now(), _permit: turn })
    }

    /// The certificate to log in with over SSH.
    async fn login(&self, now: Timestamp) -> Result<issue::Minted, Refusal> {
        let session = &self.session;
        let ttl = session.access.parts.element.connect_timeout.saturating_mul(2);
        let (trust, id) = (session.access.trust().current(), session.facts.session.to_string());
        let account = &self.permit.request().account;
        match issue::element_certificate(&trust, &session.verified, account, &id, now, ttl) {
            Ok(minted) => Ok(minted),
            Err(error) => {
                session.unreachable(&format!("a certificate could not be made: {error}")).await;
                Err(Refusal::Unavailable(Outcome::ElementUnreachable))
            }
        }
    }

    /// Notes how dialling went.
    async fn reached<T>(&self, dialled: Result<(T, LinkFacts), element::DialError>) -> Result<(T, LinkFacts), Refusal> {
        let session = &self.session;
        match dialled {
            Ok((made, facts)) => {
                session.linked(self.channel, &facts).await.map_err(Refusal::Unavailable)?;
                Ok((made, facts))
            }
            Err(element::DialError::HostKey { address, presented, expected }) => {
                let event = Event::HostKeyRefused {
                    session: session.facts.session,
                    element: session.facts.request.element.clone(),
                    address,
                    presented,
                    expected,
                };
                session.access.report(clock::now(), event).await;
                Err(Refusal::Denied(
                    "the element shows a host key that nobody has pinned, so the connection was refused. Ask the security team to check it with `sallyport elements scan`".to_owned(),
                ))
            }
            Err(error) => {
                session.unreachable(&error.to_string()).await;
                Err(Refusal::Unavailable(Outcome::ElementUnreachable))
            }
        }
    }

    /// Records the end of the channel and forgets the grant.
    pub fn close(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Records the last thing that passes on the channel together with its end, and forgets the grant.
    ///
    /// # Errors
    /// It was not kept: what it holds must not be forwarded.
    pub fn close_with(mut self, outcome: Outcome, last: Frame<'_>) -> Result<(), Outcome> {
        self.outcome = outcome;
        self.session.record_all(&[last, Frame::ChannelClosed { channel: self.channel, outcome }])?;
        self.ended = true;
        Ok(())
    }
}

/// Whatever becomes of a grant, its end is on record.
impl Drop for Grant {
    fn drop(&mut self) {
        self.session.forget(self.channel);
        if self.ended {
            return;
        }
        // A recorder that fails here has ended the session already; there is nothing more to end.
        self.session.record(&Frame::ChannelClosed { channel: self.channel, outcome: self.outcome }).ok();
    }
}

impl Session {
    async fn unreachable(&self, reason: &str) {
        tracing::warn!(session = %self.facts.session, element = %self.facts.request.element, reason, "Element unreachable.");
        let event = Event::ElementUnreachable {
            session: self.facts.session,
            element: self.facts.request.element.clone(),
            reason: reason.to_owned(),
        };
        self.access.report(clock::now(), event).await;
    }

    async fn linked(&self, channel: u32, facts: &LinkFacts) -> Result<(), Outcome> {
        let text = format!(
            "channel {channel}: element at {}, {}, host key {}, {}",
            facts.address,
            facts.banner.escape_debug(),
            facts.host_key,
            facts.algorithms
        );
        self.record(&Frame::Note { text: &text })?;
        if let Some(profile) = &facts.legacy_profile {
            let event = Event::LegacyCrypto {
                session: self.facts.session,
                element: self.facts.request.element.clone(),
                profile: profile.clone(),
                algorithms: facts.algorithms.clone(),
            };
            self.access.report(clock::now(), event).await;
        }
        Ok(())
    }
}
