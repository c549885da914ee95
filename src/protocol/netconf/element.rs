//! The way to the element: the subsystem `netconf` of its SSH server, or TLS where the inventory says so.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio::sync::watch;

use crate::access::{Grant, Link, LinkEvent, LinkSink, Opening, Refusal, Service, Stream, Visit};
use crate::domain::Outcome;

/// Bytes of the element that wait to be taken.
const PIPE_BYTES: usize = 64 << 10;
/// The element must answer the request for the subsystem within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For an element to take what was sent last and to close by itself.
const GOODBYE: Duration = Duration::from_millis(500);

/// What the element says.
pub(super) type FromElement = Box<dyn AsyncRead + Send + Unpin>;

/// What is said to the element. Dropping it ends the connection.
pub(super) enum ToElement {
    /// Over SSH.
    Ssh(Link<Sink>),
    /// Over TLS.
    Tls(WriteHalf<Box<dyn Stream>>),
}

impl ToElement {
    /// Sends bytes; waits as long as the element takes none.
    pub(super) async fn send(&mut self, data: Bytes) -> Result<(), Outcome> {
        match self {
            Self::Ssh(link) => link.data(data).await.map_err(|_| Outcome::ElementClosed),
            Self::Tls(write) => {
                let sent = async {
                    write.write_all(&data).await?;
                    write.flush().await
                };
                sent.await.map_err(|_| Outcome::ElementClosed)
            }
        }
    }

    /// Says that nothing more comes and leaves the element a moment.
    pub(super) async fn close(self) {
        match self {
            Self::Ssh(link) => link.close(GOODBYE).await,
            Self::Tls(mut write) => drop(tokio::time::timeout(GOODBYE, write.shutdown()).await),
        }
    }
}

/// Dials the element's NETCONF server.
pub(super) async fn dial(visit: &Visit, grant: &Grant) -> Result<(FromElement, ToElement), Refusal> {
    let tls = {
        let rules = visit.access().rules().current();
        rules.inventory.find(visit.element()).is_some_and(|element| element.service(Service::Netconf).is_some())
    };
    if tls {
        let (link, _) = grant.dial_tls(Service::Netconf, &[]).await?;
        let stream: Box<dyn Stream> = Box::new(link.stream);
        let (read, write) = tokio::io::split(stream);
        return Ok((Box::new(read), ToElement::Tls(write)));
    }
    let (read, pipe) = tokio::io::duplex(PIPE_BYTES);
    let answer = watch::Sender::new(None);
    let mut answered = answer.subscribe();
    let (link, _) = grant.dial(Opening::Netconf, Sink { pipe, answer }).await?;
    let unreachable = Refusal::Unavailable(Outcome::ElementUnreachable);
    let starting = async {
        link.subsystem("netconf").await.ok()?;
        *answered.wait_for(Option::is_some).await.ok()?
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, starting).await {
        Ok(Some(true)) => Ok((Box::new(read), ToElement::Ssh(link))),
        Ok(Some(false) | None) | Err(_) => Err(unreachable),
    }
}

/// Takes what the element says on its channel. While nobody reads it, the element waits.
pub(super) struct Sink {
    pipe: DuplexStream,
    answer: watch::Sender<Option<bool>>,
}

impl LinkSink for Sink {
    async fn take(&mut self, event: LinkEvent<'_>) -> Result<(), Outcome> {
        match event {
            LinkEvent::Data { error: false, data } => {
                self.pipe.write_all(data).await.map_err(|_| Outcome::ClientClosed)
            }
            LinkEvent::Reply(yes) => {
                self.answer.send_replace(Some(yes));
                Ok(())
            }
            LinkEvent::Eof | LinkEvent::Closed => {
                if self.answer.borrow().is_none() {
                    self.answer.send_replace(Some(false));
                }
                // Fails only when nobody reads any more.
                self.pipe.shutdown().await.ok();
                Ok(())
            }
            // What an element's subsystem complains of is no part of the protocol.
            LinkEvent::Data { error: true, .. }
            | LinkEvent::ExitStatus(_)
            | LinkEvent::ExitSignal { .. }
            | LinkEvent::XonXoff(_) => Ok(()),
        }
    }
}
