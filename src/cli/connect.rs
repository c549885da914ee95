//! `sallyport connect`: standard input and output to the mTLS door, for use as a ProxyCommand.
//!
//! One thread, two copies, large buffers: this stands on the path of every byte.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ca::identity_folder;
use super::{Exit, Failure};
use crate::domain::ElementName;
use crate::identity::folder::IdentityFolder;
use crate::identity::tls;

/// Carry standard input and output to an element's SSH through the mTLS door: a ProxyCommand
///
/// Exit codes: 3 when the gateway does not accept the certificate, 4 when it cannot be reached or is not the gateway it should be.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The element: core-rtr-1, or core-rtr-1.DOMAIN
    element: String,
    /// The identity's folder [default: $SALLYPORT_IDENTITY, else ~/.sallyport]
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// The mTLS door [default: as the folder says]
    #[arg(long, value_name = "HOST:PORT")]
    gateway: Option<String>,
}

const BUFFER_BYTES: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) type Stream = TlsStream<BufReader<TcpStream>>;

/// Runs it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let folder = IdentityFolder::at(&identity_folder(args.identity.as_deref())?);
    let facts = folder.gateway().map_err(Failure::usage)?;
    let credential = folder.client_credential().map_err(Failure::usage)?;
    let name = server_name(&args.element, &facts.domain)?;
    let config = tls::client_config(credential.authorities, &facts.domain, credential.chain, credential.key, &[b"ssh"])
        .map_err(|e| Failure::usage(format!("{}: {e}", folder.path().display())))?;
    let address = args.gateway.unwrap_or(facts.gateway);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::usage)?;
    let outcome = runtime.block_on(carry(&address, name, config));
    // A read of a terminal cannot be called off, and must not hold the program up.
    runtime.shutdown_background();
    outcome
}

/// The name that tells the door which element is meant.
pub(super) fn server_name(element: &str, domain: &str) -> Result<ServerName<'static>, Failure> {
    let short = element.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')).unwrap_or(element);
    // The gateway's own name is its SSH front, where the user name says which element is meant.
    let full = if element == domain {
        domain.to_owned()
    } else {
        let short: ElementName = short.parse().map_err(Failure::usage)?;
        format!("{short}.{domain}")
    };
    ServerName::try_from(full).map_err(|e| Failure::usage(format!("`{element}`: {e}")))
}

async fn carry(address: &str, name: ServerName<'static>, config: rustls::ClientConfig) -> Result<(), Failure> {
    let stream = dial(address, name, Arc::new(config)).await?;
    copy(stream).await.map_err(|e| judged(address, &e))
}

/// Speaks TLS with the mTLS door at `address`, for the element that `name` means.
pub(super) async fn dial(
    address: &str,
    name: ServerName<'static>,
    config: Arc<rustls::ClientConfig>,
) -> Result<Stream, Failure> {
    let unreachable = |why: &dyn std::fmt::Display| Failure::new(Exit::Unreachable, format!("{address}: {why}"));
    let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable(&"no answer"))?
        .map_err(|e| unreachable(&e))?;
    tcp.set_nodelay(true).map_err(|e| unreachable(&e))?;
    // The TLS library reads 4 KiB at a time; the buffer below it makes that one system call for many.
    let tcp = BufReader::with_capacity(BUFFER_BYTES, tcp);
    timeout(CONNECT_TIMEOUT, TlsConnector::from(config).connect(name, tcp))
        .await
        .map_err(|_| unreachable(&"no answer to the TLS handshake"))?
        .map_err(|e| judged(address, &e))
}

/// Both ways at once. The end of input is passed on and the answer awaited; the end of the answer ends everything.
async fn copy(stream: Stream) -> io::Result<()> {
    let (mut from_gateway, mut to_gateway) = tokio::io::split(stream);
    let (mut input, mut output) = (input()?, output()?);
    let up = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match input.read(&mut buffer).await {
                Ok(count) => count,
                // A client that died leaves an error in place of an end; the gateway is told either way.
                Err(error) => {
                    to_gateway.shutdown().await.ok();
                    return Err(error);
                }
            };
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return to_gateway.shutdown().await;
            };
            to_gateway.write_all(bytes).await?;
            to_gateway.flush().await?;
        }
    };
    let down = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = from_gateway.read(&mut buffer).await?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return output.flush().await;
            };
            output.write_all(bytes).await?;
        }
    };
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut down => ended,
        sent = &mut up => {
            // A failed write has its reason in what the gateway said last, if it said anything.
            match (sent, down.await) {
                (_, Err(said)) => Err(said),
                (Err(write), Ok(())) if write.kind() != io::ErrorKind::BrokenPipe => Err(write),
                _ => Ok(()),
            }
        }
    }
}

fn input() -> io::Result<Pin<Box<dyn AsyncRead>>> {
    let owned = io::stdin().as_fd().try_clone_to_owned()?;
    // A pipe, which is what ssh gives, is read without a thread; anything else by way of one.
    Ok(match pipe::Receiver::from_owned_fd(owned) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::io::stdin()),
    })
}

fn output() -> io::Result<Pin<Box<dyn AsyncWrite>>> {
    // What is left in the standard library's buffer would come late: nothing is, and nothing is written there.
    io::stdout().flush()?;
    let owned = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(match pipe::Sender::from_owned_fd(owned) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::fs::File::from_std(File::from(io::stdout().as_fd().try_clone_to_owned()?))),
    })
}

/// Who is to blame, and so which exit code.
fn judged(address: &str, error: &io::Error) -> Failure {
    use rustls::{AlertDescription as Alert, Error as Tls};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    match tls {
        Some(Tls::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied,
        )) => Failure::new(
            Exit::Denied,
            format!("{address}: the gateway does not accept your certificate; `sallyport whoami` shows it"),
        ),
        Some(Tls::InvalidCertificate(why)) => {
            Failure::new(Exit::Unreachable, format!("{address}: this is not the gateway it should be: {why}"))
        }
        _ => Failure::new(Exit::Unreachable, format!("{address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_by_short_and_by_full_name() {
        let rows = [
            ("core-rtr-1", Some("core-rtr-1.gw.example")),
            ("core-rtr-1.gw.example", Some("core-rtr-1.gw.example")),
            ("pe1.par", Some("pe1.par.gw.example")),
            ("gw.example", Some("gw.example")),
            ("xgw.example", Some("xgw.example.gw.example")),
            ("", None),
            (".gw.example", None),
            ("a b", None),
            ("-oX", None),
            ("Core", None),
            ("127.0.0.1:22", None),
        ];
        for (element, expected) in rows {
            let name = server_name(element, "gw.example").ok().map(|name| name.to_str().into_owned());
            assert_eq!(name.as_deref(), expected, "{element}");
        }
    }
}
