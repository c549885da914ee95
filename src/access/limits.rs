//! What a peer may take: counted here, given back when the guard is dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use super::{Access, NetconfDoor, NetconfLimits};
use crate::domain::{Door, ElementName, Identity};
use crate::identity::Verified;

/// Where clients come in.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// The mTLS door.
    pub mtls: Option<SocketAddr>,
    /// The SSH door; off when absent.
    pub ssh: Option<SocketAddr>,
    /// The door of NETCONF over TLS; off when absent.
    pub netconf: Option<NetconfDoor>,
    /// Peers that must speak the PROXY protocol, and whose word for the source address is taken. Nobody else may.
    pub proxy_peers: Vec<IpNet>,
}

/// Every limit that a client can push against.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one source address.
    pub connections_per_source_max: usize,
    /// Connections at once of one identity.
    pub connections_per_identity_max: usize,
    /// Clients that are not identified yet, at once.
    pub handshakes_max: usize,
    /// For the PROXY header and the TLS handshake together.
    pub handshake_timeout: Duration,
    /// From the first SSH byte to a successful login.
    pub login_grace: Duration,
    /// Credentials a client may offer on one connection.
    pub login_attempts_max: usize,
    /// Open channels of one SSH connection.
    pub channels_per_connection_max: usize,
    /// Bytes from the client that wait for the element, for each channel, before the client's window is closed.
    pub queue_bytes_max: usize,
    /// The same, of all channels of one connection together.
    pub queue_bytes_per_connection_max: usize,
    /// The same, of all connections together.
    pub queue_bytes_total_max: usize,
    /// The window given to the client on each channel.
    pub window_bytes: u32,
    /// Content of each stream of a command without a terminal that is kept; beyond it only length and digest are.
    pub bulk_kept_bytes_max: u64,
    /// A session whose recording is this long ends.
    pub recording_bytes_max: u64,
    /// Whether the input of a command without a terminal is kept like its output, instead of its length and digest.
    pub exec_input_kept: bool,
    /// How long an element may take to answer a request for a shell, a command or a subsystem.
    pub answer_timeout: Duration,
    /// A session in which nothing moves for this long ends.
    pub idle_timeout: Duration,
    /// A connection without a session, in which nothing goes on for this long, ends.
    pub unused_timeout: Duration,
    /// Keys with a client are changed after this many bytes either way, unless it does so itself before.
    pub rekey_bytes: usize,
    /// How often a silent client is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long sessions may go on after the gateway was asked to stop.
    pub drain_grace: Duration,
    /// What HTTP may take.
    pub http: HttpLimits,
    /// What NETCONF may take.
    pub netconf: NetconfLimits,
    /// One message of gNMI or gNOI, either way.
    pub grpc_message_bytes_max: usize,
    /// Environment variables that are passed on; a `*` at the end stands for any rest.
    pub environment: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_source_max: 10_000,
            connections_per_identity_max: 10_000,
            handshakes_max: 256,
            handshake_timeout: Duration::from_secs(10),
            login_grace: Duration::from_secs(20),
            login_attempts_max: 6,
            channels_per_connection_max: 256,
            queue_bytes_max: 1 << 20,
            queue_bytes_per_connection_max: 64 << 20,
            queue_bytes_total_max: 1 << 30,
            window_bytes: 2 << 20,
            bulk_kept_bytes_max: 1 << 20,
            recording_bytes_max: 4 << 30,
            exec_input_kept: false,
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(1_800),
            unused_timeout: Duration::from_secs(600),
            rekey_bytes: 4 << 30,
            keepalive_interval: Duration::from_secs(60),
            drain_grace: Duration::from_secs(10),
            http: HttpLimits::default(),
            netconf: NetconfLimits::default(),
            grpc_message_bytes_max: 16 << 20,
            environment: ["LANG", "LC_*", "TZ", "COLORTERM", "NO_COLOR"].map(str::to_owned).into(),
        }
    }
}

/// What a client of HTTP may take.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Request line and headers of one request together.
    pub header_bytes_max: usize,
    /// Headers of one request.
    pub headers_max: usize,
    /// The body of one request that has to be read before it is decided.
    pub body_bytes_max: usize,
    /// The body of one request that goes on in pieces.
    pub upload_bytes_max: u64,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// From the first byte of a request's headers to the last.
    pub header_timeout: Duration,
    /// For the body of one request that has to be read before it is decided.
    pub body_timeout: Duration,
    /// For the headers of an element's answer.
    pub answer_timeout: Duration,
    /// A connection on which no request is under way for this long is closed.
    pub idle_timeout: Duration,
    /// How much of each body a recording keeps; beyond it only length and digest are.
    pub kept_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_bytes_max: 32 << 10,
            headers_max: 100,
            body_bytes_max: 8 << 20,
            upload_bytes_max: 1 << 30,
            streams_max: 100,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            kept_bytes_max: 64 << 10,
        }
    }
}

impl Limits {
    /// Whether the environment variable `name` is passed on.
    pub fn passes_environment(&self, name: &str) -> bool {
        self.environment.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }
}

/// Counts by key; a key is forgotten when its count returns to zero.
#[derive(Debug)]
struct Counts<K>(Arc<Mutex<HashMap<K, usize>>>);

impl<K: Hash + Eq + Clone> Counts<K> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    fn take(&self, key: &K, max: usize) -> Option<Counted<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= max {
            if *count == 0 {
                counts.remove(key);
            }
            return None;
        }
        *count += 1;
        Some(Counted { counts: self.0.clone(), key: key.clone() })
    }
}

/// One unit of a limit, given back on drop.
#[derive(Debug)]
pub(crate) struct Counted<K: Hash + Eq> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// The counters behind [`Limits`].
#[derive(Debug)]
pub(super) struct Counters {
    strangers: Counts<(Door, IpAddr)>,
    sources: Counts<IpAddr>,
    identities: Counts<Identity>,
    elements: Counts<ElementName>,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self { strangers: Counts::new(), sources: Counts::new(), identities: Counts::new(), elements: Counts::new() }
    }

    /// A place among those that are not identified yet. One source has at most an eighth of them.
    pub(super) fn stranger(&self, door: Door, source: IpAddr, limits: &Limits) -> Option<Counted<(Door, IpAddr)>> {
        self.strangers.take(&(door, network_of(source)), (limits.handshakes_max / 8).max(4))
    }

    pub(super) fn source(&self, source: IpAddr, limits: &Limits) -> Option<Counted<IpAddr>> {
        self.sources.take(&network_of(source), limits.connections_per_source_max)
    }

    pub(super) fn element(&self, element: &ElementName, max: usize) -> Option<Counted<ElementName>> {
        self.elements.take(element, max)
    }
}

/// One connection of an identity; it counts from when the identity is known until this is dropped.
#[derive(Debug)]
pub struct Place {
    _counted: Counted<Identity>,
}

impl Access {
    /// A place for one more connection of `who`.
    ///
    /// # Errors
    /// It has as many as it may; this says so, for the log.
    pub fn place_for(&self, who: &Verified) -> Result<Place, &'static str> {
        let counted = self.counters.identities.take(who.identity(), self.limits().connections_per_identity_max);
        let counted = counted
            .ok_or("the identity has too many connections; limits.connections_per_identity_max allows no more")?;
        Ok(Place { _counted: counted })
    }
}

/// The network that one subscriber has: an address of IPv4, a /64 of IPv6.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_back_and_keys_are_forgotten() {
        let counts: Counts<u8> = Counts::new();
        let (a, b) = (counts.take(&1, 2), counts.take(&1, 2));
        assert!(a.is_some() && b.is_some() && counts.take(&1, 2).is_none() && counts.take(&2, 2).is_some());
        drop(a);
        assert!(counts.take(&1, 2).is_some());
        drop(b);
        assert!(counts.take(&1, 0).is_none());
        assert!(counts.0.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn environment_is_an_allow_list() {
        let limits = Limits::default();
        for name in ["LANG", "LC_ALL", "LC_", "TZ"] {
            assert!(limits.passes_environment(name), "{name}");
        }
        for name in ["LD_PRELOAD", "PATH", "LANGUAGE", "lang", "XLC_ALL", "BASH_ENV", "", "LC"] {
            assert!(!limits.passes_environment(name), "{name}");
        }
    }
}
