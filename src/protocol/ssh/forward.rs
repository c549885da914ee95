//! Connections through the element, and `ssh -J gateway element`, whose inner SSH connection ends here instead of passing through.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use russh::ChannelOpenFailure;
use russh::server::ChannelOpenHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::actions::{destination, element_name, socket};
use super::client::ClientChannel;
use super::connection::{self, Connection, Who};
use super::queue::{Item, Next};
use super::sink::{Shared, Sink};
use super::tape::Tape;
use crate::access::{Opening, Visit};
use crate::domain::{Action, ElementName, Outcome, Verb};

/// What the client wants to connect to.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Tcp { host: String, port: u32, originator: String, originator_port: u32 },
    Socket(String),
}

/// The port that SSH has unless somebody says otherwise.
const SSH_PORT: u32 = 22;
/// Bytes between the outer and the inner connection of a jump.
const JUMP_BYTES: usize = 128 << 10;

impl Wanted {
    pub(super) fn tcp(host: &str, port: u32, originator: &str, originator_port: u32) -> Self {
        Self::Tcp { host: host.to_owned(), port, originator: originator.to_owned(), originator_port }
    }

    fn object(&self) -> Result<String, String> {
        match self {
            Self::Tcp { host, port, .. } => destination(host, *port),
            Self::Socket(path) => socket(path),
        }
    }

    /// What was asked for, for the log, where it cannot be put to policy.
    fn shown(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } => format!("{}:{port}", host.escape_debug()),
            Self::Socket(path) => path.escape_debug().to_string(),
        }
    }

    fn opening(&self) -> Opening {
        match self.clone() {
            Self::Tcp { host, port, originator, originator_port } => {
                Opening::DirectTcp { host, port, originator, originator_port }
            }
            Self::Socket(path) => Opening::DirectStreamlocal { path },
        }
    }

    /// The element of a jump: the client is connected to the gateway itself and wants an element's SSH port.
    fn jump(&self, visit: &Visit) -> Option<ElementName> {
        match self {
            Self::Tcp { host, port: SSH_PORT, .. } if *visit.element() == ElementName::gateway() => {
                element_name(host, visit.access().domain()).filter(|e| *e != ElementName::gateway())
            }
            Self::Tcp { .. } | Self::Socket(_) => None,
        }
    }
}

/// Serves the channel until it is over.
pub(super) async fn serve(
    connection: Arc<Connection>,
    visit: Arc<Visit>,
    client: ClientChannel,
    wanted: Wanted,
    reply: ChannelOpenHandle,
) {
    let over = client.over.clone();
    match wanted.jump(&visit) {
        Some(element) => jump(&connection, &visit, client, element, reply).await,
        None => through(&visit, client, wanted, reply).await,
    }
    over.cancel();
}

/// A connection made by the element.
async fn through(visit: &Arc<Visit>, client: ClientChannel, wanted: Wanted, reply: ChannelOpenHandle) {
    let (object, fault) = match wanted.object() {
        // SECURITY: an SSH session inside a forward would be neither decided nor recorded. The stream is watched as well (see Tape).
        Ok(object) if matches!(&wanted, Wanted::Tcp { port: SSH_PORT, .. }) => {
            (object, Some("a forward to an SSH port would hide a session".to_owned()))
        }
        Ok(object) => (object, None),
        Err(text) => (wanted.shown(), Some(text)),
    };
    let action = Action::new(Verb::SshForward, object.clone());
    let asked = match fault {
        None => visit.ask(client.number, &action).await,
        Some(why) => Err(visit.forbid(client.number, &action, &why).await),
    };
    let Ok(grant) = asked else {
        return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    };
    let shared = Arc::new(Shared {
        session: grant.session().clone(),
        tape: Mutex::new(Some(Tape::forward(client.number, action, object))),
        client,
        transfer: None,
        awaited: Mutex::new(VecDeque::new()),
        answer: watch::Sender::new(None),
        closed: CancellationToken::new(),
        held_eof: AtomicBool::new(false),
        holding: Notify::new(),
        input_ended: AtomicBool::new(false),
        expects_status: AtomicBool::new(false),
        ended: AtomicBool::new(true),
        known: CancellationToken::new(),
    });
    let relay = async {
        let Ok((link, _)) = grant.dial(wanted.opening(), Sink::new(shared.clone())).await else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Outcome::ElementUnreachable;
        };
        reply.accept().await;
        shared.known.cancel();
        super::channel::relay(&shared, link).await
    };
    let outcome = tokio::select! {
        outcome = relay => outcome,
        outcome = grant.stopped() => outcome,
        () = shared.client.over.cancelled() => Outcome::ClientClosed,
    };
    super::channel::close(&shared, grant, outcome).await;
}

/// The inner connection of `ssh -J gateway element`: the same client, verified again, under the element's own host certificate.
async fn jump(
    connection: &Connection,
    visit: &Visit,
    client: ClientChannel,
    element: ElementName,
    reply: ChannelOpenHandle,
) {
    let access = visit.access();
    let verified = match access.identify_again(visit.verified()) {
        Ok(verified) => Arc::new(verified),
        Err(error) => {
            connection.refused(Some(visit.verified().identity().to_string()), error.to_string()).await;
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        }
    };
    // It is a connection of its own, from here on.
    let _place = match access.place_for(&verified) {
        Ok(place) => place,
        Err(why) => {
            connection.refused(Some(verified.identity().to_string()), why.to_owned()).await;
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
    };
    let (outer, inner) = tokio::io::duplex(JUMP_BYTES);
    reply.accept().await;
    let (mut reader, mut writer) = tokio::io::split(outer);
    let queue = client.queue.clone();
    let sending = &client;
    let to_inner = async move {
        loop {
            let next = tokio::select! {
                biased;
                next = queue.next() => next,
                () = sending.left.cancelled() => return,
            };
            match next {
                Next::Item(Item::Data(data) | Item::Made(data)) => {
                    if writer.write_all(&data).await.is_err() {
                        return;
                    }
                }
                // The inner connection sees the end of its stream; it answers in its own time.
                Next::Item(Item::Eof) => drop(writer.shutdown().await),
                Next::Control(_) => {}
            }
        }
    };
    let to_client = async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(n @ 1..) = reader.read(&mut buffer).await {
            let data = Bytes::copy_from_slice(buffer.get(..n).unwrap_or_default());
            if sending.send(false, data).await.is_err() {
                return;
            }
        }
    };
    let inner = connection::serve(access.clone(), Box::new(inner), Who::Known { verified, element });
    // When this ends, both halves of the stream are dropped with it, and the inner connection sees its end.
    let carried = async {
        tokio::select! {
            () = to_inner => {}
            () = to_client => {}
            () = sending.over.cancelled() => {}
        }
    };
    tokio::join!(inner, carried);
    client.eof().await;
    client.close().await;
}
