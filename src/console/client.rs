//! The API's client: one call at a time, as the identity whose certificate it shows.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Answer, AskBody, LockBody, TerminateBody};
use crate::identity::folder::ClientCredential;
use crate::identity::tls;

const CONNECT_TIME: Duration = Duration::from_secs(2);
const CALL_TIME: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why a call was not answered with yes.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Policy denied it; the text is the gateway's.
    #[error("{0}")]
    Denied(String),
    /// It could not be done; the text is the gateway's.
    #[error("{0}")]
    Failed(String),
    /// There was no answer.
    #[error("{0}")]
    Unreachable(String),
}

/// A gateway that answers.
#[derive(Debug)]
pub struct ApiClient {
    door: SocketAddr,
    domain: String,
    tls: Arc<rustls::ClientConfig>,
    /// The connection that showed that it runs; the first call uses it.
    first: Mutex<Option<TcpStream>>,
}

impl ApiClient {
    /// Connects to the mTLS door of the gateway of `domain`; `None` when nobody listens there.
    ///
    /// # Errors
    /// The credential cannot be used.
    pub fn connect(door: SocketAddr, domain: &str, credential: ClientCredential) -> Result<Option<Self>, String> {
        let ClientCredential { authorities, chain, key } = credential;
        let tls = tls::client_config(authorities, domain, chain, key, &[b"http/1.1"]).map_err(|e| e.to_string())?;
        let Ok(first) = TcpStream::connect_timeout(&door, CONNECT_TIME) else { return Ok(None) };
        Ok(Some(Self { door, domain: domain.to_owned(), tls: Arc::new(tls), first: Mutex::new(Some(first)) }))
    }

    /// May I?
    ///
    /// # Errors
    /// No, or no answer.
    pub fn ask(&self, body: &AskBody) -> Result<Answer, CallError> {
        self.call("/v1/ask", body)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Denied, no such session, or no answer.
    pub fn terminate(&self, body: &TerminateBody) -> Result<Answer, CallError> {
        self.call("/v1/terminate", body)
    }

    /// Locks a subject.
    ///
    /// # Errors
    /// Denied, failed, or no answer.
    pub fn lock(&self, body: &LockBody) -> Result<Answer, CallError> {
        self.call("/v1/lock", body)
    }

    /// Takes a lock away.
    ///
    /// # Errors
    /// Denied, no such lock, or no answer.
    pub fn unlock(&self, body: &LockBody) -> Result<Answer, CallError> {
        self.call("/v1/unlock", body)
    }

    fn call(&self, path: &str, body: &impl serde::Serialize) -> Result<Answer, CallError> {
        let failed = |e: &dyn std::fmt::Display| CallError::Unreachable(format!("the gateway at {}: {e}", self.door));
        let body = serde_json::to_vec(body).map_err(|e| failed(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        let (status, answer) = runtime
            .block_on(async { tokio::time::timeout(CALL_TIME, self.exchange(path, body)).await })
            .map_err(|_| failed(&"no answer in time"))?
            .map_err(|e| failed(&e))?;
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::FORBIDDEN => Err(CallError::Denied(answer.message)),
            _ => Err(CallError::Failed(answer.message)),
        }
    }

    async fn exchange(&self, path: &str, body: Vec<u8>) -> Result<(StatusCode, Answer), String> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let tcp = match first {
            Some(first) => first.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(first)),
            None => tokio::net::TcpStream::connect(self.door).await,
        };
        let tcp = tcp.map_err(|e| e.to_string())?;
        let name = ServerName::try_from(self.domain.clone()).map_err(|e| e.to_string())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(|e| e.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let request = Request::post(path)
            .header("host", &self.domain)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| e.to_string())?;
        let exchange = async {
            let response =
                sender.send_request(request).await.map_err(|e| format!("it did not admit this identity ({e})"))?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
            let answer = serde_json::from_slice(&body.to_bytes())
                .map_err(|e| format!("an answer that is not the API's: {e}"))?;
            Ok((status, answer))
        };
        tokio::select! {
            done = exchange => done,
            Err(error) = connection => Err(error.to_string()),
        }
    }
}
