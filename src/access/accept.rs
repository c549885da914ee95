//! The doors: listeners, limits, the PROXY protocol and TLS. A handshake never runs in an accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::Acceptor;

use super::protocol::{Client, Entry, Protocol, Spoken};
use super::{Access, Doors, Place, clock, proxy};
use crate::domain::{Door, ElementName, Event, RefusalStage};
use crate::element::ReadAhead;
use crate::identity::tls::{self, Refused};

/// The addresses that the doors listen on, once they do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// The mTLS door.
    pub mtls: Option<SocketAddr>,
    /// The SSH door.
    pub ssh: Option<SocketAddr>,
    /// The door of NETCONF over TLS.
    pub netconf: Option<SocketAddr>,
}

/// Listeners that are bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    mtls: Option<TcpListener>,
    ssh: Option<TcpListener>,
    netconf: Option<TcpListener>,
}

/// Binds the doors.
///
/// # Errors
/// An address that cannot be had, with the door's name.
pub async fn bind(doors: &Doors) -> Result<(Bound, Addresses), String> {
    let mut bound = Bound { mtls: None, ssh: None, netconf: None };
    let mut addresses = Addresses::default();
    for (name, wanted, listener, address) in [
        ("mtls", doors.mtls, &mut bound.mtls, &mut addresses.mtls),
        ("ssh", doors.ssh, &mut bound.ssh, &mut addresses.ssh),
        ("netconf", doors.netconf.as_ref().map(|door| door.listen), &mut bound.netconf, &mut addresses.netconf),
    ] {
        let Some(wanted) = wanted else { continue };
        let failed = |e: io::Error| format!("doors.{name}.listen: cannot listen on {wanted}: {e}");
        let taken = TcpListener::bind(wanted).await.map_err(failed)?;
        *address = Some(taken.local_addr().map_err(failed)?);
        *listener = Some(taken);
    }
    Ok((bound, addresses))
}

/// Serves the doors until the gateway drains. `protocols` are those of the registry; the first is SSH's, which also serves the SSH door.
pub async fn serve(access: Arc<Access>, bound: Bound, doors: Doors, protocols: Vec<&'static dyn Protocol>) {
    let offers = |place: Spoken| {
        let spoken = protocols.iter().filter(|p| [Spoken::Everywhere, place].contains(&p.spoken()));
        let alpn: Vec<&[u8]> = spoken.flat_map(|p| p.alpn()).copied().collect();
        tls::server_config(access.trust().clone(), &alpn)
    };
    let entrance = Arc::new(Entrance {
        on_elements: offers(Spoken::OnElements),
        on_gateway: offers(Spoken::OnGateway),
        netconf: tls::server_config(access.trust().clone(), &[]),
        connections: Semaphore::new(access.limits().connections_max),
        proxy_peers: doors.proxy_peers,
        access,
        protocols,
    });
    tokio::select! {
        () = entrance.clone().accept(bound.mtls, Way::Mtls) => {}
        () = entrance.clone().accept(bound.ssh, Way::Ssh) => {}
        () = entrance.clone().accept(bound.netconf, Way::Netconf) => {}
        () = clock::watch_for_jumps(entrance.access.jumps.clone()) => {}
        () = entrance.access.keep_telling_omitted() => {}
        () = entrance.access.draining().cancelled() => {}
    }
}

/// Which listener a client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Mtls,
    /// Mutual TLS too, on a port where nothing but NETCONF is spoken (RFC 7589).
    Netconf,
    Ssh,
}

impl Way {
    /// The door that policy sees.
    fn door(self) -> Door {
        match self {
            Self::Mtls | Self::Netconf => Door::Mtls,
            Self::Ssh => Door::Ssh,
        }
    }
}

/// What the doors share.
struct Entrance {
    access: Arc<Access>,
    on_elements: Arc<ServerConfig>,
    on_gateway: Arc<ServerConfig>,
    netconf: Arc<ServerConfig>,
    connections: Semaphore,
    proxy_peers: Vec<IpNet>,
    protocols: Vec<&'static dyn Protocol>,
}

/// What a client speaks that says nothing: ALPN was added to TLS for HTTP/2, and programs that know HTTP/1.1 alone leave it out.
const WITHOUT_ALPN: &[u8] = b"http/1.1";

/// What is spoken on the port of NETCONF, whatever ALPN says.
const NETCONF: &[u8] = b"netconf";

/// Why a client was turned away at the door.
struct TurnedAway {
    stage: RefusalStage,
    identity: Option<String>,
    reason: String,
}

impl TurnedAway {
    /// Whose key was proved, and refused.
    fn known(refused: &Refused) -> Self {
        let identity = Some(refused.identity.to_string());
        Self { stage: RefusalStage::Tls, identity, reason: refused.to_string() }
    }
}

impl Entrance {
    async fn accept(self: Arc<Self>, listener: Option<TcpListener>, way: Way) {
        let Some(listener) = listener else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let entrance = self.clone();
                    self.access.tasks().spawn(async move { entrance.client(stream, peer, way).await });
                }
                Err(error) => {
                    // Out of descriptors, mostly: wait for some to come back instead of spinning.
                    tracing::warn!(%error, door = ?way, "Cannot accept.");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn client(&self, stream: TcpStream, peer: SocketAddr, way: Way) {
        let (access, door) = (&self.access, way.door());
        access.metrics().connections.with_label_values(&[door.as_str()]).inc();
        let mut source = proxy::canonical(peer);
        if let Err(away) = self.admit(stream, &mut source, way).await {
            access.metrics().refusals.with_label_values(&[stage_name(away.stage)]).inc();
            let TurnedAway { stage, identity, reason } = away;
            access.report_refusal(Event::Refused { door, stage, source: Some(source), identity, reason }).await;
        }
    }

    /// Takes one client through the door and serves it.
    async fn admit(&self, mut stream: TcpStream, source: &mut SocketAddr, way: Way) -> Result<(), TurnedAway> {
        let access = &self.access;
        let away = |stage, reason: String| TurnedAway { stage, identity: None, reason };
        stream.set_nodelay(true).map_err(|e| away(RefusalStage::Accept, e.to_string()))?;
        let Ok(_place) = self.connections.try_acquire() else {
            let reason = "the gateway has as many connections as limits.connections_max allows".to_owned();
            return Err(away(RefusalStage::Accept, reason));
        };
        let deadline = tokio::time::Instant::now() + access.limits().handshake_timeout;
        if self.proxy_peers.iter().any(|net| net.contains(&source.ip())) {
            let header = tokio::time::timeout_at(deadline, proxy::read_source(&mut stream, *source));
            *source = match header.await {
                Ok(Ok(source)) => source,
                Ok(Err(error)) => return Err(away(RefusalStage::Accept, error.to_string())),
                Err(_) => return Err(away(RefusalStage::Accept, "no PROXY header in time".to_owned())),
            };
        }
        let Some(_counted) = access.counters.source(source.ip(), access.limits()) else {
            let reason =
                "the source has too many connections; limits.connections_per_source_max allows no more".to_owned();
            return Err(away(RefusalStage::Accept, reason));
        };
        let stream = ReadAhead::new(stream);
        match way {
            Way::Mtls | Way::Netconf => {
                let (client, protocol, _place) = self.handshake(stream, *source, deadline, way).await?;
                protocol.serve(access.clone(), client).await;
            }
            Way::Ssh => {
                let Some(protocol) = self.protocols.first() else { return Ok(()) };
                protocol
                    .serve(
                        access.clone(),
                        Client { stream: Box::new(stream), entry: Entry::Unidentified { peer: *source } },
                    )
                    .await;
            }
        }
        Ok(())
    }

    /// TLS: who, by the client certificate; which element, by SNI; which protocol, by ALPN.
    async fn handshake(
        &self,
        stream: ReadAhead<TcpStream>,
        source: SocketAddr,
        deadline: tokio::time::Instant,
        way: Way,
    ) -> Result<(Client, &'static dyn Protocol, Place), TurnedAway> {
        let access = &self.access;
        let away = |reason: String| TurnedAway { stage: RefusalStage::Tls, identity: None, reason };
        let handshake = async {
            let _slot = access.handshake_slot(Door::Mtls, source.ip()).await.map_err(away)?;
            let failed = |e: io::Error| match Refused::during(&e) {
                Some(refused) => TurnedAway::known(refused),
                None => away(format!("the TLS handshake failed: {e}")),
            };
            let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
            // What can be spoken is offered before anybody is known, so it must not tell which elements there are.
            let own = start.client_hello().server_name() == Some(access.domain());
            let config = match way {
                Way::Netconf => &self.netconf,
                Way::Mtls | Way::Ssh if own => &self.on_gateway,
                Way::Mtls | Way::Ssh => &self.on_elements,
            };
            start.into_stream(config.clone()).await.map_err(failed)
        };
        let stream = tokio::time::timeout_at(deadline, handshake)
            .await
            .map_err(|_| away("no TLS handshake in time".to_owned()))??;
        let (_, connection) = stream.get_ref();
        let verified = tls::verify(connection, source, access.trust(), access.locks(), clock::now()).map_err(|e| {
            match Refused::after(connection, access.trust(), e.clone()) {
                Some(refused) => TurnedAway::known(&refused),
                None => away(e.to_string()),
            }
        })?;
        let away = |reason: String| TurnedAway {
            stage: RefusalStage::Tls,
            identity: Some(verified.identity().to_string()),
            reason,
        };
        let place = access.place_for(&verified).map_err(|why| away(why.to_owned()))?;
        let Some(element) = connection.server_name().and_then(|sni| self.element_of(sni)) else {
            return Err(away(format!("no element was named; send `<element>.{}` by SNI", access.domain())));
        };
        let wanted = match way {
            Way::Netconf => NETCONF,
            Way::Mtls | Way::Ssh => connection.alpn_protocol().unwrap_or(WITHOUT_ALPN),
        };
        let here = self.protocols.iter().filter(|p| p.spoken().on(&element));
        let chosen = here.flat_map(|p| p.alpn().iter().map(move |alpn| (*p, *alpn))).find(|(_, alpn)| *alpn == wanted);
        let Some((protocol, alpn)) = chosen else {
            return Err(away(
                "nothing that is spoken here was named; offer `ssh`, `h2` or `http/1.1` by ALPN".to_owned(),
            ));
        };
        let entry = Entry::Identified { verified: Arc::new(verified), element, alpn };
        Ok((Client { stream: Box::new(stream), entry }, protocol, place))
    }

    fn element_of(&self, sni: &str) -> Option<ElementName> {
        if sni == self.access.domain() {
            return Some(ElementName::gateway());
        }
        sni.strip_suffix(self.access.domain())?.strip_suffix('.')?.parse().ok()
    }
}

fn stage_name(stage: RefusalStage) -> &'static str {
    match stage {
        RefusalStage::Accept => "accept",
        RefusalStage::Tls => "tls",
        RefusalStage::SshAuthentication => "ssh-authentication",
        RefusalStage::Open => "open",
    }
}
