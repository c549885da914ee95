//! The API on the gateway's own name: a client of [`crate::access`] and no back door. Every call is an action on the element `gateway`,
//! decided by policy for the identity of the TLS connection, and logged.
//!
//! JSON over HTTP/1.1: `POST /v1/ask`, `GET /v1/sessions`, `POST /v1/terminate`, `POST /v1/lock`, `POST /v1/unlock`. A web console is not
//! here yet.

mod client;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};

use crate::access::{Access, BoxFuture, Client, Entry, Protocol, Refusal, Spoken, clock};
use crate::domain::{Action, SessionFacts, SessionId, Timestamp, Verb, Via};
use crate::identity::{Lock, LockSubject, Verified};

pub use client::{ApiClient, CallError};

/// The API as a protocol of the mTLS door.
#[derive(Debug)]
pub struct Console;

const BODY_BYTES_MAX: usize = 64 << 10;
const HEADER_TIME: Duration = Duration::from_secs(10);
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// `POST /v1/ask`: may I? With `how`, for replay and export, yes is answered only when the log has noted that the recording is being read.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskBody {
    /// A `gateway.` verb.
    pub verb: Verb,
    /// Its object.
    #[serde(default)]
    pub object: String,
    /// How a recording is about to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
}

/// `POST /v1/terminate`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TerminateBody {
    /// The session to end.
    pub session: SessionId,
}

/// `POST /v1/lock` and, with the subject alone, `POST /v1/unlock`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LockBody {
    /// What to lock.
    pub subject: LockSubject,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Until when; for good when absent.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// Every answer: what was done, or why not.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Why not, or what.
    pub message: String,
    /// `GET /v1/sessions`: the live ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionFacts>,
}

type Reply = (StatusCode, Answer);

impl Protocol for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"http/1.1"]
    }

    fn spoken(&self) -> Spoken {
        Spoken::OnGateway
    }

    fn serve<'a>(&'a self, access: Arc<Access>, client: Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Entry::Identified { verified, .. } = client.entry else { return };
            let service = service_fn(move |request| {
                let (access, verified) = (access.clone(), verified.clone());
                async move { Ok::<_, Infallible>(respond(route(&access, &verified, request).await)) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(client.stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIME, serving).await {
                tracing::debug!(%error, "A client of the API failed.");
            }
        })
    }
}

fn respond((status, answer): Reply) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn route(access: &Arc<Access>, who: &Verified, request: Request<Incoming>) -> Reply {
    if let Some(no) = foreign(&request, access.domain()) {
        return no;
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let result = match (&method, path.as_str()) {
        (&Method::POST, "/v1/ask") => ask(access, who, request).await,
        (&Method::GET, "/v1/sessions") => sessions(access, who).await,
        (&Method::POST, "/v1/terminate") => terminate(access, who, request).await,
        (&Method::POST, "/v1/lock") => lock(access, who, request).await,
        (&Method::POST, "/v1/unlock") => unlock(access, who, request).await,
        _ => Err(says(StatusCode::NOT_FOUND, "there is no such call")),
    };
    result.unwrap_or_else(|no| no)
}

/// SECURITY: a page of another site must not act with the certificate in a person's browser. This API is for programs: whatever a browser would
/// send of its own accord for another site's page is refused.
fn foreign(request: &Request<Incoming>, domain: &str) -> Option<Reply> {
    let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap_or("?"));
    let host = header("host").map(|h| h.split_once(':').map_or(h, |(name, _)| name));
    if header("origin").is_some() || header("sec-fetch-site").is_some() || host != Some(domain) {
        return Some(says(StatusCode::FORBIDDEN, "this API is not for pages of other sites"));
    }
    let json = header("content-type").is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    (request.method() == Method::POST && !json)
        .then(|| says(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"))
}

fn says(status: StatusCode, text: impl Into<String>) -> Reply {
    (status, Answer { message: text.into(), ..Answer::default() })
}

fn refused(refusal: Refusal) -> Reply {
    let status = match refusal {
        Refusal::Denied(_) => StatusCode::FORBIDDEN,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    says(status, refusal.message())
}

async fn body<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Reply> {
    let bad = |text: String| says(StatusCode::BAD_REQUEST, text);
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX);
    let read = tokio::time::timeout(HEADER_TIME, body.collect())
        .await
        .map_err(|_| bad("the body did not come in time".to_owned()))?;
    let bytes = read.map_err(|e| bad(e.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))
}

async fn ask(access: &Arc<Access>, who: &Verified, request: Request<Incoming>) -> Result<Reply, Reply> {
    let AskBody { verb, object, how } = body(request).await?;
    if !verb.as_str().starts_with("gateway.") {
        return Err(says(StatusCode::BAD_REQUEST, format!("`{verb}` is not an action on the gateway")));
    }
    let permit = access.ask_own(who, &Action::new(verb, object.as_str())).await.map_err(refused)?;
    match (verb, how) {
        (Verb::GatewayReplay | Verb::GatewayReplayUnmasked | Verb::GatewayExport, Some(how)) => {
            let session: SessionId =
                object.parse().map_err(|e: crate::domain::ParseError| says(StatusCode::BAD_REQUEST, e.to_string()))?;
            let _receipt = access.note_reading(&permit, session, &how, Via::Console).await.map_err(refused)?;
        }
        (Verb::GatewayWatch | Verb::GatewayAudit, _) => {
            let _receipt = access.note_state_read(&permit, Via::Console).await.map_err(refused)?;
        }
        _ => {}
    }
    Ok(says(StatusCode::OK, "allowed"))
}

async fn sessions(access: &Arc<Access>, who: &Verified) -> Result<Reply, Reply> {
    let permit = access.ask_own(who, &Action::new(Verb::GatewayWatch, "")).await.map_err(refused)?;
    let _receipt = access.note_state_read(&permit, Via::Console).await.map_err(refused)?;
    let sessions = access.live().list().into_iter().map(|live| live.facts).collect();
    Ok((StatusCode::OK, Answer { message: String::new(), sessions }))
}

async fn terminate(access: &Arc<Access>, who: &Verified, request: Request<Incoming>) -> Result<Reply, Reply> {
    let TerminateBody { session } = body(request).await?;
    let permit =
        access.ask_own(who, &Action::new(Verb::GatewayTerminate, session.to_string())).await.map_err(refused)?;
    match access.terminate(&permit, session, Via::Console).await.map_err(refused)? {
        true => Ok(says(StatusCode::OK, "the session was ended")),
        false => Err(says(StatusCode::NOT_FOUND, "there is no live session of that id")),
    }
}

async fn lock(access: &Arc<Access>, who: &Verified, request: Request<Incoming>) -> Result<Reply, Reply> {
    let LockBody { subject, reason, until } = body(request).await?;
    let object = String::from(subject.clone());
    let permit = access.ask_own(who, &Action::new(Verb::GatewayLock, object)).await.map_err(refused)?;
    let lock = Lock { subject, reason, by: who.identity().to_string(), at: clock::now(), until };
    let failed = |e: String| says(StatusCode::INTERNAL_SERVER_ERROR, e);
    access.lock(&permit, lock, Via::Console).await.map_err(failed)?;
    Ok(says(StatusCode::OK, "locked"))
}

async fn unlock(access: &Arc<Access>, who: &Verified, request: Request<Incoming>) -> Result<Reply, Reply> {
    let LockBody { subject, .. } = body(request).await?;
    let object = String::from(subject.clone());
    let permit = access.ask_own(who, &Action::new(Verb::GatewayLock, object)).await.map_err(refused)?;
    let failed = |e: String| says(StatusCode::INTERNAL_SERVER_ERROR, e);
    match access.unlock(&permit, &subject, Via::Console).await.map_err(failed)? {
        true => Ok(says(StatusCode::OK, "unlocked")),
        false => Err(says(StatusCode::NOT_FOUND, "there is no such lock")),
    }
}
