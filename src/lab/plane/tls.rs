//! The router's TLS port: RESTCONF and gNMI, with the certificate of a client that the router trusts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gnmi::Body;
use super::{gnmi, restconf};
use crate::lab::device::Device;
use crate::lab::each_connection;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECTIONS_MAX: usize = 256;
const STREAMS_MAX: u32 = 64;

/// The TLS port of a router.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The authority whose client certificates it accepts, in PEM. The common name is the account.
    pub client_ca: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// The key of that, in PEM.
    pub key: String,
}

/// Why there is no TLS port.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate, a key or an authority is none.
    #[error("the router's TLS: {0}")]
    Broken(String),
    /// It cannot listen.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Listens, and serves in `tasks` until `stop`. Gives where.
pub(in crate::lab) async fn serve(
    config: &TlsConfig,
    device: Arc<Device>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<SocketAddr, TlsError> {
    let acceptor = TlsAcceptor::from(Arc::new(server(config)?));
    let listener = TcpListener::bind(config.listen).await?;
    let addr = listener.local_addr()?;
    let own = tasks.clone();
    tasks.spawn(async move { accept(listener, acceptor, device, own, stop).await });
    Ok(addr)
}

fn server(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let broken = |error: &dyn std::fmt::Display| TlsError::Broken(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(config.client_ca.as_bytes()) {
        roots.add(certificate.map_err(|e| broken(&e))?).map_err(|e| broken(&e))?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let clients = clients.build().map_err(|e| broken(&e))?;
    let chain = CertificateDer::pem_slice_iter(config.certificate.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(config.key.as_bytes()).map_err(|e| broken(&e))?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| broken(&e))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.map_err(|e| broken(&e))?, key)
        .map_err(|e| broken(&e))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    device: Arc<Device>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let work = |stream, _| {
        let (acceptor, device, inner, stop) = (acceptor.clone(), device.clone(), tasks.clone(), stop.clone());
        async move {
            let greeted = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
            let connection = async {
                if let Ok(Ok(stream)) = greeted.await {
                    connected(stream, device, inner, stop.clone()).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection => {}
            }
        }
    };
    each_connection(listener, CONNECTIONS_MAX, &tasks, &stop, work).await;
}

/// One connection, to its end.
async fn connected(stream: TlsStream<TcpStream>, device: Arc<Device>, tasks: TaskTracker, stop: CancellationToken) {
    let (_, tls) = stream.get_ref();
    let account = tls.peer_certificates().and_then(<[_]>::first).and_then(|certificate| common_name(certificate));
    let Some(account) = account else { return };
    let h2 = tls.alpn_protocol() == Some(b"h2");
    let streams = Streams { tasks, cut: stop.child_token() };
    let cut = streams.cut.clone().drop_guard();
    let follows = streams.clone();
    let service = service_fn(move |request| answer(request, device.clone(), account.clone(), follows.clone()));
    let io = TokioIo::new(stream);
    // However it ended, it has ended.
    if h2 {
        let mut server = http2::Builder::new(streams);
        server.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
        server.serve_connection(io, service).await.ok();
    } else {
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
        server.serve_connection(io, service).await.ok();
    }
    drop(cut);
}

async fn answer(
    request: Request<Incoming>,
    device: Arc<Device>,
    account: String,
    streams: Streams,
) -> Result<Response<Body>, std::convert::Infallible> {
    let grpc = request
        .headers()
        .get(hyper::header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
    Ok(if grpc {
        gnmi::answer(request, device, &account, streams).await
    } else {
        restconf::answer(request, &device, &account).await
    })
}

/// What runs for one connection and ends with it.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Streams {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = task => {}
            }
        });
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.chars().filter(char::is_ascii_graphic).take(64).collect())
}
