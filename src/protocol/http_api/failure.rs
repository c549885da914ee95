//! Answers of the gateway in the element's place.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::actions::Refused;
use crate::access::Refusal;
use crate::domain::Outcome;
use crate::protocol::web::{self, Body, ReadError, Response, status_of};

/// An answer of the gateway in the element's place.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) text: String,
    /// When it may be tried again.
    pub(super) after: Option<Duration>,
}

/// A failure after the request was allowed, and how its channel ends.
pub(super) type Failed = (Failure, Outcome);

impl Failure {
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), after: None }
    }

    /// As text or, for a client that accepts JSON, as RFC 9457 has it.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = if accepts.contains("json") {
            let title = status.canonical_reason().unwrap_or_default();
            let problem = serde_json::json!({ "status": self.status, "title": title, "detail": self.text });
            let mut response = Response::new(Body::full(problem.to_string()));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            response
        } else {
            web::says(status, self.text.as_str())
        };
        if let Some(after) = self.after {
            // Rounded up, so that whoever comes then is not early.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().saturating_add(1)));
        }
        response
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(refused.status, refused.text)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(status_of(&refusal).as_u16(), refusal.message())
    }
}

impl From<&ReadError> for Failure {
    fn from(error: &ReadError) -> Self {
        let status = match error {
            ReadError::Broken(_) => 400,
            ReadError::Late => 408,
            ReadError::TooLong(_) => 413,
        };
        Self::new(status, error.to_string())
    }
}

/// What was refused after it had been allowed.
pub(super) fn failed(refusal: Refusal) -> Failed {
    let outcome = if let Refusal::Unavailable(outcome) = &refusal { *outcome } else { Outcome::PolicyDenies };
    (Failure::from(refusal), outcome)
}
