//! A listener on an element, on a connection of its own: the gateway's hand on it.

use std::sync::Arc;

use russh::client::Handle;
use tokio_util::sync::DropGuard;

use super::handler::{Handler, Shared};
use crate::element::{LinkSink, Listen};

/// A listener on an element. It has a connection of its own, without a session; dropping it ends both and everything that came through.
pub struct Listening<S: LinkSink> {
    handle: Handle<Handler<S>>,
    shared: Arc<Shared<S>>,
    bound: Listen,
    _guard: DropGuard,
}

impl<S: LinkSink> std::fmt::Debug for Listening<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl<S: LinkSink> Listening<S> {
    /// Asks for the listener; where it listens, in the element's words only as far as a port of its choice goes.
    pub(super) async fn ask(
        handle: Handle<Handler<S>>,
        shared: Arc<Shared<S>>,
        listen: Listen,
        guard: DropGuard,
    ) -> Result<Self, russh::Error> {
        shared.asked().listen = Some(listen.clone());
        let bound = match listen {
            Listen::Tcp { host, port } => {
                let given = handle.tcpip_forward(host.as_str(), port).await?;
                let port = if port == 0 { given } else { port };
                if port == 0 || u16::try_from(port).is_err() {
                    return Err(russh::Error::RequestDenied);
                }
                Listen::Tcp { host, port }
            }
            Listen::Socket { path } => {
                handle.streamlocal_forward(path.as_str()).await?;
                Listen::Socket { path }
            }
        };
        shared.asked().listen = Some(bound.clone());
        Ok(Self { handle, shared, bound, _guard: guard })
    }

    /// Where it listens; a port that was left to the element is known here.
    pub fn bound(&self) -> &Listen {
        &self.bound
    }

    /// Stops listening. What came through before stays.
    pub async fn cancel(&self) {
        self.shared.asked().listen = None;
        let cancelled = async {
            match &self.bound {
                Listen::Tcp { host, port } => self.handle.cancel_tcpip_forward(host.as_str(), *port).await,
                Listen::Socket { path } => self.handle.cancel_streamlocal_forward(path.as_str()).await,
            }
        };
        tokio::select! {
            // An element that does not stop offers what nobody asked for any more, and is refused.
            cancelled = cancelled => drop(cancelled),
            () = self.shared.closed.cancelled() => {}
        }
    }

    /// Waits until the connection is gone, however it went.
    pub async fn closed(&self) {
        self.shared.closed.cancelled().await;
    }
}
