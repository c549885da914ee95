//! The connection to the element, which the calls of one client connection share.

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;

use super::refused::{Code, Refused};
use super::relay::Uplink;
use crate::access::{Access, Grant, Injected, Service};
use crate::domain::ElementName;
use crate::protocol::web::Tasks;

/// What is spoken with elements.
const H2: &[u8] = b"h2";

/// A connection to the element.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) send: SendRequest<Uplink>,
    pub(super) injected: Option<Injected>,
    pub(super) authority: String,
}

/// The link of one client connection, made when it is first needed and made anew when it is lost.
#[derive(Default)]
pub(super) struct Links {
    held: Mutex<Option<Link>>,
    /// What runs for them; not among the client connection's own, which are waited for before this ends.
    tasks: Tasks,
}

impl Links {
    /// The link that is there, or a new one that `grant` dials.
    pub(super) async fn of(&self, access: &Access, element: &ElementName, grant: &Grant) -> Result<Link, Refused> {
        let mut held = self.held.lock().await;
        if let Some(link) = &mut *held
            && !link.send.is_closed()
            && link.send.ready().await.is_ok()
        {
            return Ok(link.clone());
        }
        *held = None;
        let link = dial(access, element, grant, &self.tasks).await?;
        Ok(held.insert(link).clone())
    }

    /// Gives the link up.
    pub(super) async fn end(&self) {
        self.held.lock().await.take();
        self.tasks.end().await;
    }
}

async fn dial(access: &Access, element: &ElementName, grant: &Grant, tasks: &Tasks) -> Result<Link, Refused> {
    let (tls, _) = grant.dial_tls(Service::Gnmi, &[H2]).await?;
    let unreachable = || Refused::new(Code::Unavailable, "the element cannot be reached");
    if tls.alpn.as_deref() != Some(H2) {
        tracing::warn!(%element, "The element's gNMI service does not agree on HTTP/2 by ALPN.");
        return Err(unreachable());
    }
    let limits = access.limits();
    let header_bytes_max = u32::try_from(limits.http.header_bytes_max).unwrap_or(u32::MAX);
    let mut builder = Builder::new(tasks.clone());
    builder.timer(TokioTimer::new()).keep_alive_interval(limits.keepalive_interval);
    builder.max_header_list_size(header_bytes_max);
    let (send, connection) = builder.handshake(TokioIo::new(tls.stream)).await.map_err(|error| {
        tracing::warn!(%element, %error, "The element's gNMI service does not speak HTTP/2.");
        unreachable()
    })?;
    tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "The connection to the element broke.");
        }
    });
    let authority = authority(access, element).ok_or_else(unreachable)?;
    Ok(Link { send, injected: tls.injected, authority })
}

/// The host that requests are for: the name that the element's certificate has.
fn authority(access: &Access, element: &ElementName) -> Option<String> {
    let rules = access.rules().current();
    let name = rules.inventory.find(element)?.service(Service::Gnmi)?.server_name.to_str().into_owned();
    Some(if name.contains(':') { format!("[{name}]") } else { name })
}
