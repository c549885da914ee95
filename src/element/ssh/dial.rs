//! From a permit to an open channel, or a listener, on the element: address, host key, login, channel, all within one deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelOpenFailure;
use russh::client::{Config as ClientConfig, Handle, connect_stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::DropGuard;

use super::algorithms;
use super::handler::{Expected, Handler, LinkError, Shared};
use super::link::Link;
use super::listening::Listening;
use super::login::login;
use super::wire::Wire;
use crate::domain::{Account, Timestamp};
use crate::element::inventory::Address;
use crate::element::{Config, DialError, Element, LinkFacts, LinkSink, Listen, Opening, OwnDoors};
use crate::identity::issue::Minted;
use crate::policy::Permit;

/// A name may resolve to many addresses; no more than these are tried.
const RESOLVED_MAX: usize = 4;
/// The library tells the reason of a refused channel first and its text right after.
const REFUSAL_TEXT_WAIT: Duration = Duration::from_millis(100);

/// Dials `element` over SSH as the permit's account and opens one channel.
///
/// Dropping the future, or the link it gives, closes the connection.
///
/// # Errors
/// See [`DialError`].
pub async fn dial<S: LinkSink>(
    config: &Config,
    element: &Element,
    permit: &Permit,
    minted: &Minted,
    now: Timestamp,
    opening: Opening,
    sink: S,
) -> Result<(Link<S>, LinkFacts), DialError> {
    let account = permitted(element, permit)?;
    dial_as(config, element, account, minted, now, opening, sink).await
}

/// Dials `element` over SSH as the permit's account and makes it listen. Connections are offered to the sink.
///
/// Dropping the future, or the listener it gives, closes the connection.
///
/// # Errors
/// See [`DialError`].
pub async fn listen<S: LinkSink>(
    config: &Config,
    element: &Element,
    permit: &Permit,
    minted: &Minted,
    now: Timestamp,
    listen: Listen,
    sink: S,
) -> Result<(Listening<S>, LinkFacts), DialError> {
    let account = permitted(element, permit)?;
    let addresses = element.addresses();
    logged_in(config, element, addresses, account, minted, now, |reached| ask_to_listen(reached, listen, sink)).await
}

/// INVARIANT: the permit decides where and as whom; the inventory decides whether that account may exist at all.
pub(in crate::element) fn permitted<'p>(element: &Element, permit: &'p Permit) -> Result<&'p Account, DialError> {
    let request = permit.request();
    if request.element != *element.name() {
        return Err(DialError::Credential(format!("the permit is for `{}`", request.element)));
    }
    if !element.allows_account(&request.account) {
        return Err(DialError::Credential(format!("the account `{}` is not listed for this element", request.account)));
    }
    Ok(&request.account)
}

pub(super) async fn dial_as<S: LinkSink>(
    config: &Config,
    element: &Element,
    account: &Account,
    minted: &Minted,
    now: Timestamp,
    opening: Opening,
    sink: S,
) -> Result<(Link<S>, LinkFacts), DialError> {
    let addresses = if matches!(opening, Opening::Netconf) { element.netconf_ssh() } else { element.addresses() };
    logged_in(config, element, addresses, account, minted, now, |reached| open(reached, opening, sink)).await
}

/// Reaches the element, logs in and does what is wanted there, all within the time for it.
async fn logged_in<S: LinkSink, T, F: Future<Output = Result<(T, LinkFacts), DialError>>>(
    config: &Config,
    element: &Element,
    addresses: &[Address],
    account: &Account,
    minted: &Minted,
    now: Timestamp,
    wanted: impl FnOnce(Reached<S>) -> F,
) -> Result<(T, LinkFacts), DialError> {
    if let Some(profile) = element.crypto().filter(|profile| profile.expired(now)) {
        return Err(DialError::ProfileExpired { profile: profile.name.clone(), expired: profile.expires.to_string() });
    }
    let deadline = Instant::now() + config.connect_timeout;
    let all = async {
        // Closed never: the semaphore lives as long as its element.
        let _slot = element.dialling().acquire().await.map_err(|error| DialError::Unreachable(error.to_string()))?;
        let mut reached = reach(config, element, addresses, now, deadline).await?;
        let logged_in = login(&mut reached.handle, config, element.credential(), account, minted).await;
        logged_in.map_err(|error| with_goodbye(error, &reached.shared))?;
        wanted(reached).await
    };
    let (made, mut facts) =
        timeout_at(deadline, all).await.map_err(|_| DialError::Timeout(config.connect_timeout))??;
    facts.legacy_profile = element.crypto().map(|profile| profile.name.clone());
    Ok((made, facts))
}

/// A connection whose host key is the element's.
struct Reached<S: LinkSink> {
    handle: Handle<Handler<S>>,
    shared: Arc<Shared<S>>,
    guard: DropGuard,
    address: String,
}

/// Tries the addresses in order, each with its share of the time left. Only silence and broken connections lead to the next
/// one: a wrong host key or weak algorithms are an answer.
async fn reach<S: LinkSink>(
    config: &Config,
    element: &Element,
    addresses: &[Address],
    now: Timestamp,
    deadline: Instant,
) -> Result<Reached<S>, DialError> {
    let client = Arc::new(algorithms::client_config(config.window_bytes, element.crypto(), element.host_trust()));
    let mut left = addresses.len();
    let mut last = DialError::Unreachable("the inventory holds no address".to_owned());
    for address in addresses {
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX).max(1);
        left = left.saturating_sub(1);
        let expected = Expected { element: element.name().clone(), trust: Arc::clone(element.host_trust()), now };
        last = match timeout(share, connect(address, &config.own, Arc::clone(&client), expected)).await {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error @ DialError::Unreachable(_))) => error,
            Ok(Err(answer)) => return Err(answer),
            Err(_) => DialError::Timeout(share),
        };
    }
    Err(last)
}

async fn connect<S: LinkSink>(
    address: &Address,
    own: &OwnDoors,
    client: Arc<ClientConfig>,
    expected: Expected,
) -> Result<Reached<S>, DialError> {
    let stream = tcp(address, own).await?;
    let peer = stream.peer_addr().map_or_else(|_| address.to_string(), |peer| peer.to_string());
    let shared = Shared::new();
    let guard = shared.stop.clone().drop_guard();
    let wire = Wire::new(stream, shared.stop.clone());
    let handler = Handler::new(expected, Arc::clone(&shared));
    let handle = connect_stream(client, wire, handler).await.map_err(|error| cause(error, &peer))?;
    Ok(Reached { handle, shared, guard, address: peer })
}

/// One TCP connection; the resolved addresses are tried in turn.
///
/// SECURITY: a name is looked up now and not when the inventory is read, and what it says is what is connected to: nobody can say one thing for
/// the check and another for the connection.
pub(in crate::element) async fn tcp(address: &Address, own: &OwnDoors) -> Result<TcpStream, DialError> {
    let failed = |error: &dyn std::fmt::Display| DialError::Unreachable(format!("{address}: {error}"));
    let resolved =
        tokio::net::lookup_host((address.host.as_str(), address.port)).await.map_err(|error| failed(&error))?;
    let resolved: Vec<SocketAddr> = resolved.take(RESOLVED_MAX).collect();
    if let Some(door) = resolved.iter().find_map(|resolved| own.at(*resolved)) {
        return Err(DialError::OwnDoor { address: address.to_string(), door });
    }
    let stream = TcpStream::connect(resolved.as_slice()).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    Ok(stream)
}

async fn open<S: LinkSink>(reached: Reached<S>, opening: Opening, sink: S) -> Result<(Link<S>, LinkFacts), DialError> {
    let Reached { handle, shared, guard, address } = reached;
    shared.attach(sink);
    let opened = match opening {
        Opening::Netconf | Opening::Session => handle.channel_open_session().await,
        Opening::DirectTcp { host, port, originator, originator_port } => {
            handle.channel_open_direct_tcpip(host, port, originator, originator_port).await
        }
        Opening::DirectStreamlocal { path } => handle.channel_open_direct_streamlocal(path).await,
    };
    let channel = match opened {
        Ok(channel) => channel,
        Err(russh::Error::ChannelOpenFailure(reason)) => return Err(refusal(&reason, &shared).await),
        Err(error) => return Err(with_goodbye(DialError::Unreachable(error.to_string()), &shared)),
    };
    // The library's own queue would hold a second copy of everything; without its reader nothing is put there.
    let (_, writer) = channel.split();
    let facts = facts(&shared, address);
    Ok((Link::new(handle, writer, shared, guard), facts))
}

async fn ask_to_listen<S: LinkSink>(
    reached: Reached<S>,
    listen: Listen,
    sink: S,
) -> Result<(Listening<S>, LinkFacts), DialError> {
    let Reached { handle, shared, guard, address } = reached;
    shared.attach(sink);
    let facts = facts(&shared, address);
    match Listening::ask(handle, shared.clone(), listen, guard).await {
        Ok(listening) => Ok((listening, facts)),
        Err(russh::Error::RequestDenied) => Err(DialError::Refused {
            reason: ChannelOpenFailure::AdministrativelyProhibited.code(),
            text: "it does not listen there".to_owned(),
        }),
        Err(error) => Err(with_goodbye(DialError::Unreachable(error.to_string()), &shared)),
    }
}

fn facts<S>(shared: &Shared<S>, address: String) -> LinkFacts {
    let notes = shared.notes();
    LinkFacts {
        address,
        banner: notes.banner.clone(),
        host_key: notes.host_key.clone(),
        algorithms: notes.algorithms.clone(),
        legacy_profile: None,
    }
}

async fn refusal<S>(reason: &ChannelOpenFailure, shared: &Shared<S>) -> DialError {
    // Without the text the code alone must do.
    drop(timeout(REFUSAL_TEXT_WAIT, shared.refused.notified()).await);
    let text = shared.notes().refusal.clone().filter(|text| !text.is_empty());
    DialError::Refused { reason: reason.code(), text: text.unwrap_or_else(|| reason.description().to_lowercase()) }
}

/// Adds what the element said when it hung up.
fn with_goodbye<S>(error: DialError, shared: &Shared<S>) -> DialError {
    let goodbye = shared.notes().goodbye.clone().filter(|text| !text.is_empty());
    match (error, goodbye) {
        (DialError::Login(text), Some(said)) => DialError::Login(format!("{text}; it said: {said}")),
        (DialError::Unreachable(text), Some(said)) => DialError::Unreachable(format!("{text}; it said: {said}")),
        (error, _) => error,
    }
}

/// Why there is no connection.
fn cause(error: LinkError, address: &str) -> DialError {
    match error {
        LinkError::HostKey(mismatch) => DialError::HostKey {
            address: address.to_owned(),
            presented: mismatch.presented,
            expected: mismatch.expected,
        },
        LinkError::Weak(text) => DialError::Algorithms(text),
        LinkError::Ssh(russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
            let theirs: Vec<String> = theirs.iter().map(|name| crate::element::credential::printable(name)).collect();
            DialError::Algorithms(format!("for {kind:?} the element has only {}", theirs.join(", ")))
        }
        LinkError::Ssh(error) => DialError::Unreachable(format!("{address}: {error}")),
        LinkError::Sink(outcome) => DialError::Unreachable(outcome.message().to_owned()),
        LinkError::Stopped => DialError::Unreachable("the gateway stopped dialling".to_owned()),
    }
}
