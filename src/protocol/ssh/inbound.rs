//! Connections that the element makes back to the client: to its key agent, its display, or through a listener.
//!
//! Each was allowed before the element was asked to make it, is decided once more when it comes, and has a relay of its own, recorded with
//! where it leads and its bytes. They end with what they belong to: a session channel or a listener.

use std::sync::{Arc, Mutex, PoisonError};

use russh::Channel;
use russh::server::{Handle, Msg};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::ClientChannel;
use super::connection::{Arrival, Connection};
use super::queue::{Item, Next};
use super::tape::Tape;
use crate::access::{Grant, InboundReader, InboundWriter, Listen, Offer, Origin, Said, Session};
use crate::domain::Outcome;

/// Offers of one link that may wait; an element that makes more at once sees the rest refused.
pub(super) const OFFERS_MAX: usize = 32;

/// What the client has agreed to be reached by, each with the grant that allowed it.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub(super) agent: Option<Arc<Grant>>,
    pub(super) display: Option<Arc<Grant>>,
    pub(super) listener: Option<(Arc<Grant>, Listen)>,
}

/// One connection's way to the client.
struct Way {
    grant: Arc<Grant>,
    destination: String,
    /// Whether the stream is watched for a hidden SSH session.
    watched: bool,
    toward: Toward,
}

/// What to open at the client.
enum Toward {
    Agent,
    Display { originator: String, originator_port: u32 },
    Socket { path: String },
    Tcp { address: String, port: u32, originator: String, originator_port: u32 },
}

impl Ways {
    pub(super) fn any(&self) -> bool {
        self.agent.is_some() || self.display.is_some() || self.listener.is_some()
    }

    /// The way of an offer; none when nobody agreed to such a one.
    fn of(&self, origin: &Origin) -> Option<Way> {
        match origin.clone() {
            Origin::Agent => {
                let grant = self.agent.clone()?;
                Some(Way { grant, destination: "agent".to_owned(), watched: false, toward: Toward::Agent })
            }
            Origin::Display { originator, originator_port } => {
                let grant = self.display.clone()?;
                let destination = format!("display from {originator}:{originator_port}");
                Some(Way { grant, destination, watched: true, toward: Toward::Display { originator, originator_port } })
            }
            Origin::Socket => match self.listener.clone()? {
                (grant, Listen::Socket { path }) => {
                    let destination = format!("listener {path}");
                    Some(Way { grant, destination, watched: true, toward: Toward::Socket { path } })
                }
                (_, Listen::Tcp { .. }) => None,
            },
            Origin::Tcp { originator, originator_port } => match self.listener.clone()? {
                (grant, Listen::Tcp { host: address, port }) => {
                    let destination = format!("listener {address}:{port} from {originator}:{originator_port}");
                    let toward = Toward::Tcp { address, port, originator, originator_port };
                    Some(Way { grant, destination, watched: true, toward })
                }
                (_, Listen::Socket { .. }) => None,
            },
        }
    }

    /// Records the end of what was agreed to.
    fn close(self, outcome: Outcome) {
        for grant in [self.agent, self.display, self.listener.map(|(grant, _)| grant)].into_iter().flatten() {
            if let Some(grant) = Arc::into_inner(grant) {
                grant.close(outcome);
            }
        }
    }
}

/// Everything that comes back to one client because of one session channel, or one listener.
pub(super) struct Inbound {
    connection: Arc<Connection>,
    handle: Handle,
    session: Arc<Session>,
    ways: Ways,
    relays: TaskTracker,
    ended: CancellationToken,
}

impl Inbound {
    pub(super) fn new(connection: Arc<Connection>, handle: Handle, session: Arc<Session>, ways: Ways) -> Self {
        let (relays, ended) = (TaskTracker::new(), CancellationToken::new());
        Self { connection, handle, session, ways, relays, ended }
    }

    /// Gives each offer a relay. Never resolves: whoever calls it knows when it is over, and then calls [`Inbound::end`].
    pub(super) async fn attend(&self, offers: &mut mpsc::Receiver<Offer>) {
        while let Some(offer) = offers.recv().await {
            let Some(way) = self.ways.of(offer.origin()) else { continue };
            let Ok(place) = self.connection.inbound.clone().try_acquire_owned() else {
                tracing::warn!(session = %self.session.facts().session, "Too many connections back to a client; one is refused.");
                continue;
            };
            let relay = Relay {
                connection: self.connection.clone(),
                handle: self.handle.clone(),
                session: self.session.clone(),
                ended: self.ended.clone(),
            };
            self.relays.spawn(async move {
                let _place = place;
                relay.serve(way, offer).await;
            });
        }
        std::future::pending().await
    }

    /// Waits until every relay has ended by itself.
    pub(super) async fn done(&self) {
        self.relays.close();
        self.relays.wait().await;
    }

    /// Ends every relay and waits until each is on record.
    pub(super) async fn end(self, outcome: Outcome) {
        self.ended.cancel();
        self.done().await;
        self.ways.close(outcome);
    }
}

/// What one connection back to the client needs.
struct Relay {
    connection: Arc<Connection>,
    handle: Handle,
    session: Arc<Session>,
    ended: CancellationToken,
}

impl Relay {
    /// Serves one offer; returning before it is accepted refuses it.
    async fn serve(&self, way: Way, offer: Offer) {
        let number = self.connection.next_number();
        if self.session.allow(number, way.grant.action()).is_err() {
            return self.session.report_denials().await;
        }
        let opened = tokio::select! {
            opened = self.open(number, way.toward) => opened,
            _ = way.grant.stopped() => return,
            () = self.ended.cancelled() => return,
        };
        let Some(client) = opened else { return };
        let (reader, writer) = offer.accept().await;
        let of = if way.watched { Tape::forward } else { Tape::counted };
        let tape = of(number, way.grant.action().clone(), way.destination);
        let carried = Carried { client, session: self.session.clone(), tape: Mutex::new(tape) };
        let outcome = tokio::select! {
            outcome = carried.both_ways(reader, &writer) => outcome,
            outcome = way.grant.stopped() => outcome,
            () = self.ended.cancelled() => Outcome::ElementClosed,
            () = self.connection.gone.cancelled() => Outcome::ClientClosed,
        };
        tracing::debug!(session = %self.session.facts().session, %outcome, "A connection back to the client is over.");
        carried.finish(writer).await;
    }

    /// Opens a channel to the client; `None` when it does not want it.
    ///
    /// A client may take its time, and a channel that it confirms late must still have an owner who closes it: so a task of the connection
    /// waits for it, whether or not anybody waits for that task.
    async fn open(&self, number: u32, toward: Toward) -> Option<ClientChannel> {
        let (tell, told) = oneshot::channel();
        let (connection, handle) = (self.connection.clone(), self.handle.clone());
        self.connection.tasks.spawn(async move {
            let opened = tokio::select! {
                opened = channel(&handle, toward) => opened,
                () = connection.gone.cancelled() => return,
            };
            let Ok(channel) = opened else { return };
            let id = channel.id();
            // The library's own queue for the channel goes with the read half, as for channels that the client opens.
            let (_, write) = channel.split();
            let Arrival { queue, left, over } = connection.arrival(id);
            if let Err(unwanted) = tell.send(ClientChannel { id, number, write, handle, queue, left, over }) {
                unwanted.close().await;
            }
        });
        told.await.ok()
    }
}

async fn channel(handle: &Handle, toward: Toward) -> Result<Channel<Msg>, russh::Error> {
    match toward {
        Toward::Agent => handle.channel_open_agent().await,
        Toward::Display { originator, originator_port } => handle.channel_open_x11(originator, originator_port).await,
        Toward::Socket { path } => handle.channel_open_forwarded_streamlocal(path).await,
        Toward::Tcp { address, port, originator, originator_port } => {
            handle.channel_open_forwarded_tcpip(address, port, originator, originator_port).await
        }
    }
}

/// A connection between the element and the client, both ends open.
struct Carried {
    client: ClientChannel,
    session: Arc<Session>,
    tape: Mutex<Tape>,
}

impl Carried {
    async fn both_ways(&self, reader: InboundReader, writer: &InboundWriter) -> Outcome {
        let to_element = self.to_element(writer);
        tokio::pin!(to_element);
        tokio::select! {
            outcome = &mut to_element => outcome,
            outcome = self.to_client(reader) => match outcome {
                // What the client sent before it closed is still due.
                Outcome::ClientClosed => to_element.await,
                other => other,
            },
        }
    }

    async fn to_element(&self, writer: &InboundWriter) -> Outcome {
        loop {
            let next = tokio::select! {
                biased;
                next = self.client.queue.next() => next,
                () = self.client.left.cancelled() => return Outcome::ClientClosed,
            };
            let sent = match next {
                Next::Item(Item::Data(data)) => {
                    match self.tape().from_client(&self.session, &self.client.queue, data) {
                        Ok(onward) => Ok(onward.to_element),
                        Err(outcome) => return outcome,
                    }
                }
                Next::Item(Item::Made(data)) => Ok(data),
                Next::Item(Item::Eof) => Err(()),
                Next::Control(_) => continue,
            };
            let sent = match sent {
                Ok(data) => writer.data(data).await,
                Err(()) => writer.eof().await,
            };
            if sent.is_err() {
                return Outcome::ElementClosed;
            }
        }
    }

    async fn to_client(&self, mut reader: InboundReader) -> Outcome {
        while let Some(said) = reader.next().await {
            let sent = match said {
                Said::Data(data) => {
                    let taped = self.tape().from_element(&self.session, &self.client.queue, false, &data);
                    match taped {
                        Ok(_) => self.client.send(false, data).await,
                        Err(outcome) => Err(outcome),
                    }
                }
                Said::Eof => {
                    self.client.eof().await;
                    Ok(())
                }
            };
            if let Err(outcome) = sent {
                return outcome;
            }
        }
        Outcome::ElementClosed
    }

    fn tape(&self) -> std::sync::MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn finish(self, writer: InboundWriter) {
        let tape = self.tape.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A recorder that fails here ends the session by itself.
        tape.finish(&self.session).ok();
        self.session.report_denials().await;
        writer.close().await;
        self.client.close().await;
    }
}
