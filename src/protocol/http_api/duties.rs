//! What must hold for an allowed request, and what is kept of its answer from who asked.

use std::sync::Arc;

use aws_lc_rs::digest;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::http::response;

use super::failure::{Failed, Failure};
use super::proof::{self, Needed, Used};
use super::usage::{TooMany, Usage};
use crate::access::{HttpLimits, Visit, clock};
use crate::domain::api::{Api, Judged, Pointer, masked};
use crate::domain::{Obligation, Outcome};
use crate::protocol::web::{self, Allowed, ReadError, Sent};
use crate::recording::sha256_of;

/// What the requests of all connections share.
#[derive(Debug, Default)]
pub(super) struct State {
    usage: Usage,
    proofs: Used,
}

/// The obligations that are fulfilled here rather than by policy.
#[derive(Debug, Default)]
pub(super) struct Duties {
    customer_auth: bool,
    pub(super) masks: Vec<Pointer>,
}

impl Duties {
    /// Of a decision.
    ///
    /// # Errors
    /// One that cannot be fulfilled.
    pub(super) fn of(obligations: &[Obligation]) -> Result<Self, &'static str> {
        let mut duties = Self::default();
        for obligation in obligations {
            match obligation {
                Obligation::CustomerAuth => duties.customer_auth = true,
                Obligation::Mask(text) => {
                    duties.masks.push(text.parse().map_err(|_| "a field to mask cannot be understood")?);
                }
                // Policy has seen to these.
                Obligation::Assurance(_)
                | Obligation::Door(_)
                | Obligation::Device
                | Obligation::Max(_)
                | Obligation::Source(_)
                | Obligation::Window(_) => {}
                Obligation::Unfulfilled(_) => return Err("an obligation cannot be fulfilled"),
            }
        }
        Ok(duties)
    }
}

impl State {
    /// Counts a request against the limits of its API.
    pub(super) fn count(&self, visit: &Visit, api: &Api, judged: &Judged) -> Result<(), TooMany> {
        let key = (visit.element().to_string(), visit.verified().identity().to_string());
        let object = (!judged.records.is_empty()).then(|| {
            let mut hash = digest::Context::new(&digest::SHA256);
            for (_, value) in &judged.records {
                // With its length, so that no two lists look alike.
                hash.update(&value.len().to_le_bytes());
                hash.update(value.as_bytes());
            }
            sha256_of(hash)
        });
        self.usage.count(key, api.requests, api.objects, object, clock::now())
    }

    /// Verifies that the customer has agreed, when that is needed.
    pub(super) fn customer_auth(
        &self,
        visit: &Visit,
        duties: &Duties,
        api: Option<(&Arc<Api>, &Judged)>,
        header: impl Fn(&str) -> Result<Option<String>, String>,
    ) -> Result<(), String> {
        if !duties.customer_auth {
            return Ok(());
        }
        let needs = |why: &str| format!("it needs the customer's authentication: {why}");
        let configured = api.and_then(|(api, judged)| Some((api.customer_auth.as_ref()?, judged)));
        let (auth, judged) = configured.ok_or_else(|| needs("nobody's word for that is configured"))?;
        let operation = judged.operation.as_deref().ok_or_else(|| needs("the operation is not known"))?;
        let record = judged.records.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/");
        if record.is_empty() {
            return Err(needs("the operation names no record"));
        }
        let token = header(&auth.header)?.ok_or_else(|| needs(&format!("the header {} is missing", auth.header)))?;
        let element = visit.element().to_string();
        let agent = visit.verified().identity().to_string();
        let (now, since) = (clock::now(), visit.access().began());
        let needed = Needed { element: &element, operation, record: &record, agent: &agent, now, since };
        proof::verify(auth, &token, &needed, &self.proofs).map_err(needs)
    }
}

/// What is left of an answer when fields of it are masked. What cannot be masked is not shown.
///
/// # Errors
/// Why the gateway answers in the element's place.
pub(super) async fn mask(
    allowed: &Allowed,
    sent: Sent,
    mut head: response::Parts,
    masks: &[Pointer],
    limits: &HttpLimits,
) -> Result<(response::Parts, Bytes), Failed> {
    let Sent { answer, lease } = sent;
    let compressed = answer.headers().contains_key(CONTENT_ENCODING);
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json");
    let refused = |why: &str| {
        let text = format!("fields of the answer must be masked, and {why}");
        (Failure::new(502, text), Outcome::ElementClosed)
    };
    let mut stop = allowed.stopped();
    let reading = web::read(answer.into_body(), limits.body_bytes_max, limits.answer_timeout);
    let read = tokio::select! {
        outcome = &mut stop => return Err((Failure::new(503, outcome.message()), outcome)),
        read = reading => read,
    };
    drop(lease);
    let masked = match read {
        Ok(body) if body.is_empty() => body,
        Ok(_) if compressed => return Err(refused("it is compressed")),
        Ok(_) if !is_json => return Err(refused("it is not JSON")),
        Ok(body) => masked(&body, masks).map_err(|error| refused(&error.to_string()))?.into(),
        Err(ReadError::TooLong(_)) => return Err(refused("it is too long")),
        Err(error) => return Err(refused(&error.to_string())),
    };
    head.headers.remove(CONTENT_LENGTH);
    Ok((head, masked))
}
