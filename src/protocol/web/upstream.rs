//! Connections to an element's HTTPS service, which the requests of one client connection share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Body;
use super::tasks::Tasks;
use crate::access::{Element, Grant, HttpLimits, Injected, Refusal, Service, TlsLink};

const H2: &[u8] = b"h2";
const HTTP_11: &[u8] = b"http/1.1";
/// Requests at once of one client connection to an element that speaks HTTP/1.1 alone.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection that was used before may take to be ready again; otherwise another is made.
const READY: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The element broke the connection or its protocol.
    #[error("the element broke off: {0}")]
    Broken(String),
    /// The answer did not come in time.
    #[error("the element did not answer in time")]
    Late,
    /// The element was not reached.
    #[error("{}", .0.message())]
    Refused(Refusal),
}

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What an element answered, as far as the headers.
#[derive(Debug)]
pub struct Sent {
    /// The answer.
    pub answer: Response<Incoming>,
    /// The connection; to be held until the answer is over, and dropped after its body.
    pub lease: Lease,
}

/// The connections that one client connection has to its element.
#[derive(Debug)]
pub struct Upstream {
    held: Mutex<Held>,
    places: Arc<Semaphore>,
    dialling: tokio::sync::Mutex<()>,
    limits: HttpLimits,
    keepalive: Duration,
    /// What runs for them; not among the client connection's own, which are waited for before this ends.
    tasks: Tasks,
}

/// Connections that wait for a request.
#[derive(Debug, Default)]
struct Held {
    shared: Option<Shared>,
    idle: Vec<Single>,
}

/// What is the same for all requests of a connection.
#[derive(Debug, Clone)]
struct Way {
    /// The entry of the inventory that it was dialled by: another one may have another address, or another certificate.
    element: Arc<Element>,
    authority: String,
    authorization: Option<HeaderValue>,
}

/// A connection that carries any number of requests at once.
#[derive(Debug, Clone)]
struct Shared {
    send: http2::SendRequest<Body>,
    way: Way,
}

/// A connection that carries one request after the other.
#[derive(Debug)]
struct Single {
    send: http1::SendRequest<Body>,
    way: Way,
}

#[derive(Debug)]
enum Link {
    Shared(Shared),
    Single(Single, OwnedSemaphorePermit),
}

/// A connection in use, or a part of one. When it is dropped the next request may have it.
#[derive(Debug)]
pub struct Lease {
    upstream: Arc<Upstream>,
    single: Option<(Single, OwnedSemaphorePermit)>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((single, _place)) = self.single.take()
            && !single.send.is_closed()
        {
            self.upstream.held().idle.push(single);
        }
    }
}

impl Upstream {
    /// No connection yet.
    pub fn new(limits: HttpLimits, keepalive: Duration) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            dialling: tokio::sync::Mutex::new(()),
            limits,
            keepalive,
            tasks: Tasks::new(),
        })
    }

    /// Sends a request, whose URI is a path and whose headers pass, to `element`. Authority and credential are added here.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        self: &Arc<Self>,
        grant: &Grant,
        element: &Arc<Element>,
        mut request: Request<Body>,
    ) -> Result<Sent, SendError> {
        let path = request.uri().clone();
        loop {
            let (link, fresh) = self.link(grant, element).await?;
            let within = self.limits.answer_timeout;
            let late = |_| SendError::Late;
            let (answer, single) = match link {
                Link::Shared(mut link) => {
                    prepare(&mut request, &link.way, &path, Version::HTTP_2)?;
                    let sending = link.send.try_send_request(request);
                    (tokio::time::timeout(within, sending).await.map_err(late)?, None)
                }
                Link::Single(mut link, place) => {
                    prepare(&mut request, &link.way, &path, Version::HTTP_11)?;
                    let sending = link.send.try_send_request(request);
                    (tokio::time::timeout(within, sending).await.map_err(late)?, Some((link, place)))
                }
            };
            let lease = Lease { upstream: self.clone(), single };
            match answer {
                Ok(answer) => return Ok(Sent { answer, lease }),
                Err(mut failed) => match failed.take_message() {
                    // It was used before, and the element had closed it: nothing of the request has left.
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(SendError::Broken(failed.into_error().to_string())),
                },
            }
        }
    }

    /// A connection that is ready for a request, and whether it was made for this one.
    async fn link(self: &Arc<Self>, grant: &Grant, element: &Arc<Element>) -> Result<(Link, bool), SendError> {
        if let Some(shared) = self.shared(element).await {
            return Ok((Link::Shared(shared), false));
        }
        let closed = |_| SendError::Broken("the connection is over".to_owned());
        let place = self.places.clone().acquire_owned().await.map_err(closed)?;
        if let Some(single) = self.single(element).await {
            return Ok((Link::Single(single, place), false));
        }
        // Requests that come at once share the connection that the first of them makes, where it can be shared.
        let _turn = self.dialling.lock().await;
        if let Some(shared) = self.shared(element).await {
            return Ok((Link::Shared(shared), false));
        }
        Ok((self.dial(grant, element, place).await?, true))
    }

    async fn shared(&self, element: &Arc<Element>) -> Option<Shared> {
        let mut shared = self.held().shared.clone().filter(|shared| shared.way.is_to(element))?;
        let ready =
            !shared.send.is_closed() && tokio::time::timeout(READY, shared.send.ready()).await.is_ok_and(|r| r.is_ok());
        if !ready {
            self.held().shared = None;
        }
        ready.then_some(shared)
    }

    async fn single(&self, element: &Arc<Element>) -> Option<Single> {
        loop {
            let mut single = self.held().idle.pop()?;
            let ready =
                async { single.way.is_to(element) && !single.send.is_closed() && single.send.ready().await.is_ok() };
            if tokio::time::timeout(READY, ready).await.unwrap_or(false) {
                return Some(single);
            }
        }
    }

    async fn dial(
        &self,
        grant: &Grant,
        element: &Arc<Element>,
        place: OwnedSemaphorePermit,
    ) -> Result<Link, SendError> {
        let (tls, way) = reach(grant, element, &[H2, HTTP_11]).await?;
        let io = TokioIo::new(tls.stream);
        if tls.alpn.as_deref() == Some(H2) {
            let mut builder = http2::Builder::new(self.tasks.clone());
            builder.timer(TokioTimer::new()).keep_alive_interval(self.keepalive);
            builder.max_header_list_size(u32::try_from(self.limits.header_bytes_max).unwrap_or(u32::MAX));
            let (send, connection) = builder.handshake(io).await.map_err(|e| broken(&e))?;
            self.drive(connection);
            let shared = Shared { send, way };
            self.held().shared = Some(shared.clone());
            return Ok(Link::Shared(shared));
        }
        let (send, connection) = self.http1().handshake(io).await.map_err(|e| broken(&e))?;
        self.drive(connection);
        Ok(Link::Single(Single { send, way }, place))
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(self.limits.header_bytes_max).max_headers(self.limits.headers_max);
        builder
    }

    /// Sends a request that asks to leave HTTP, on a connection of its own.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn switch(
        &self,
        grant: &Grant,
        element: &Arc<Element>,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        let path = request.uri().clone();
        let (tls, way) = reach(grant, element, &[HTTP_11]).await?;
        let handshake = self.http1().handshake(TokioIo::new(tls.stream)).await;
        let (mut send, connection) = handshake.map_err(|e| broken(&e))?;
        self.drive(connection.with_upgrades());
        prepare(&mut request, &way, &path, Version::HTTP_11)?;
        let answer = tokio::time::timeout(self.limits.answer_timeout, send.send_request(request)).await;
        answer.map_err(|_| SendError::Late)?.map_err(|e| broken(&e))
    }

    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "The connection to the element broke.");
            }
        });
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives every connection up.
    pub async fn end(&self) {
        *self.held() = Held::default();
        self.tasks.end().await;
    }
}

fn broken(error: &hyper::Error) -> SendError {
    SendError::Broken(error.to_string())
}

/// Dials the element.
async fn reach(grant: &Grant, element: &Arc<Element>, alpn: &[&[u8]]) -> Result<(TlsLink, Way), SendError> {
    let (tls, _) = grant.dial_tls(Service::Https, alpn).await?;
    let service = element.service(Service::Https);
    let name = service.map(|service| service.server_name.to_str().into_owned()).unwrap_or_default();
    let authority = if name.contains(':') { format!("[{name}]") } else { name };
    let authorization = tls.injected.as_ref().map(authorization).transpose()?;
    Ok((tls, Way { element: element.clone(), authority, authorization }))
}

impl Way {
    fn is_to(&self, element: &Arc<Element>) -> bool {
        Arc::ptr_eq(&self.element, element)
    }
}

/// Makes a request one for this connection.
fn prepare(request: &mut Request<Body>, way: &Way, path: &Uri, version: Version) -> Result<(), SendError> {
    let bad = |error: &dyn std::fmt::Display| SendError::Broken(error.to_string());
    let path = path.path_and_query().map_or("/", |path| path.as_str());
    *request.version_mut() = version;
    if version == Version::HTTP_2 {
        let uri = Uri::builder().scheme("https").authority(way.authority.as_str()).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|e| bad(&e))?;
    } else {
        *request.uri_mut() = path.parse().map_err(|e: hyper::http::uri::InvalidUri| bad(&e))?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(&way.authority).map_err(|e| bad(&e))?);
    }
    if let Some(value) = &way.authorization {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    Ok(())
}

/// The credential as a header, which is never shown.
fn authorization(injected: &Injected) -> Result<HeaderValue, SendError> {
    use base64::Engine as _;
    let text = match injected {
        Injected::Basic { user, password } => {
            let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.as_str()));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()))
        }
        Injected::Bearer { token } => format!("Bearer {}", token.as_str()),
    };
    let text = zeroize::Zeroizing::new(text);
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| SendError::Broken("the stored credential cannot be sent as a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
