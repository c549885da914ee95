//! One connection of a client: serve its requests, watch over what it may do, and end it when it may not.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service as HyperService;
use hyper::{Request as HyperRequest, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::authority;
use super::body::{UnderWay, idle};
use super::guard::Guard;
use super::service::{Request, Response, Service, refused, says};
use super::tasks::Tasks;
use super::visits::Visits;
use crate::access::{Access, BoxFuture, HttpLimits, Stream, Verified, Visit};
use crate::domain::{ElementName, Outcome};

/// HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
pub(super) const HTTP_11: &[u8] = b"http/1.1";

/// How long requests may take to end when the connection must.
const WIND_DOWN: Duration = Duration::from_secs(2);

/// What the requests of one connection share.
#[derive(Debug)]
struct Connection {
    /// The one authority that requests name.
    host: String,
    headers_max: usize,
    visits: Visits,
    numbers: AtomicU32,
    under_way: watch::Sender<usize>,
    tasks: Tasks,
    opaque: Arc<AtomicBool>,
}

/// Serves the connection until it is over; everything it opened is sealed and logged when this resolves.
pub(super) async fn serve(
    access: Arc<Access>,
    services: &'static [&'static dyn Service],
    stream: Box<dyn Stream>,
    verified: Arc<Verified>,
    element: ElementName,
    alpn: &[u8],
) {
    let host = format!("{element}.{}", access.domain());
    let (visits, begun) = Visits::new(access.clone(), verified, element, services);
    let http2 = alpn == H2;
    let connection = Arc::new(Connection {
        host,
        headers_max: access.limits().http.headers_max,
        visits,
        numbers: AtomicU32::new(0),
        under_way: watch::Sender::new(0),
        tasks: Tasks::new(),
        // HTTP/2 frames everything by itself (RFC 9113 §8.2.2): there is nothing to follow.
        opaque: Arc::new(AtomicBool::new(http2)),
    });
    let limits = &access.limits().http;
    let stream = Guard::new(stream, limits, connection.opaque.clone());
    let mut running = Running::start(stream, &connection, limits, http2);
    let outcome = attend(&access, &connection, &mut running, begun).await;
    if let Some(outcome) = outcome {
        connection.visits.stop(outcome).await;
        running.wind_down();
        if tokio::time::timeout(WIND_DOWN, &mut running).await.is_err() {
            tracing::debug!("The client did not close; it is cut off.");
        }
    }
    drop(running);
    connection.tasks.end().await;
    connection.visits.close(outcome.unwrap_or(Outcome::ClientClosed)).await;
}

/// Watches over the connection until it is over; why it must end, unless the client ended it.
async fn attend(
    access: &Access,
    connection: &Connection,
    running: &mut Running,
    mut begun: mpsc::Receiver<Arc<Visit>>,
) -> Option<Outcome> {
    let mut watched = JoinSet::new();
    let (mut draining, mut served) = (false, false);
    let idle = idle(&connection.under_way, access.limits().http.idle_timeout);
    tokio::pin!(idle);
    loop {
        tokio::select! {
            ended = &mut *running, if !served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "The client's connection broke.");
                }
                served = true;
            }
            // What left HTTP goes on after it.
            () = connection.tasks.done(), if served => return draining.then_some(Outcome::Shutdown),
            Some(visit) = begun.recv() => {
                watched.spawn(async move { visit.supervise().await });
            }
            Some(ended) = watched.join_next() => return Some(ended.unwrap_or(Outcome::ProtocolError)),
            () = &mut idle => return Some(Outcome::Idle),
            () = access.draining().cancelled(), if !draining => {
                draining = true;
                running.wind_down();
            }
        }
    }
}

impl Connection {
    async fn answer(&self, request: HyperRequest<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        if let Err(refused) = authority::check(&head, &self.host) {
            return says(refused.status, refused.text);
        }
        // HTTP/1.1 has this limit in its parser.
        if head.headers.len() > self.headers_max {
            return says(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "a request may not have so many headers");
        }
        let number = self.numbers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_add(1));
        let (Ok(channel), Some(served)) = (number, self.visits.of(&head)) else {
            return says(StatusCode::NOT_FOUND, "nothing is served there");
        };
        let conversation = match self.visits.conversation(served).await {
            Ok(conversation) => conversation,
            Err(refusal) => return refused(&refusal),
        };
        let under_way = UnderWay::one(&self.under_way);
        let (tasks, opaque) = (self.tasks.clone(), self.opaque.clone());
        let request = Request { head, body, channel, tasks, under_way: under_way.clone(), opaque };
        conversation.call(request).await.map(|body| body.counted(under_way))
    }
}

/// Hands each request of a connection to [`Connection::answer`].
struct Answering(Arc<Connection>);

impl HyperService<HyperRequest<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: HyperRequest<Incoming>) -> Self::Future {
        let connection = self.0.clone();
        Box::pin(async move { Ok(connection.answer(request).await) })
    }
}

type Io = TokioIo<Guard<Box<dyn Stream>>>;

/// The library at work on one connection.
enum Running {
    Http1(Pin<Box<http1::UpgradeableConnection<Io, Answering>>>),
    Http2(Pin<Box<http2::Connection<Io, Answering, Tasks>>>),
}

impl Running {
    fn start(stream: Guard<Box<dyn Stream>>, connection: &Arc<Connection>, limits: &HttpLimits, http2: bool) -> Self {
        let (io, service) = (TokioIo::new(stream), Answering(connection.clone()));
        if http2 {
            let header_bytes_max = u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX);
            let mut builder = http2::Builder::new(connection.tasks.clone());
            builder.timer(TokioTimer::new()).max_concurrent_streams(limits.streams_max);
            builder.max_header_list_size(header_bytes_max);
            return Self::Http2(Box::pin(builder.serve_connection(io, service)));
        }
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(None).max_headers(limits.headers_max);
        builder.max_buf_size(limits.header_bytes_max);
        Self::Http1(Box::pin(builder.serve_connection(io, service).with_upgrades()))
    }

    /// Takes no further requests: GOAWAY, or `Connection: close`.
    fn wind_down(&mut self) {
        match self {
            Self::Http1(connection) => connection.as_mut().graceful_shutdown(),
            Self::Http2(connection) => connection.as_mut().graceful_shutdown(),
        }
    }
}

impl Future for Running {
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match self.get_mut() {
            Self::Http1(connection) => connection.as_mut().poll(cx),
            Self::Http2(connection) => connection.as_mut().poll(cx),
        }
    }
}
