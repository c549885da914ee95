//! The PROXY protocol (HAProxy, versions 1 and 2): read only from peers that are listed, and required of them.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header that is read: a version 2 header with more than this is refused.
const HEADER_BYTES_MAX: usize = 1_024;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Reads exactly the header, and returns the source address it names; `peer` itself for a health check of the proxy (`LOCAL`, `UNKNOWN`).
///
/// # Errors
/// Not a header, too long, or an address family that names no socket address.
pub(super) async fn read_source<R: AsyncRead + Unpin>(stream: &mut R, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut header = vec![0; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > HEADER_BYTES_MAX {
            return Err(bad("the header is too long"));
        }
        header.extend_from_slice(&rest);
        let mut addresses = vec![0; length];
        stream.read_exact(&mut addresses).await?;
        header.extend_from_slice(&addresses);
    } else if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() >= 107 {
                return Err(bad("the header line has no end"));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(bad("no PROXY header"));
    }
    source_of(&header, peer).map(canonical)
}

/// An address of IPv4 in the form of IPv6 (`::ffff:198.51.100.7`) is that of IPv4: whatever is said of a source, in a limit, a certificate or a
/// policy, is said of that.
pub(super) fn canonical(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}

fn source_of(header: &[u8], peer: SocketAddr) -> io::Result<SocketAddr> {
    let parsed = HeaderResult::parse(header);
    if parsed.is_incomplete() {
        return Err(bad("the header is incomplete"));
    }
    match parsed {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(a) => (a.source_address, a.source_port).into(),
            v1::Addresses::Tcp6(a) => (a.source_address, a.source_port).into(),
            v1::Addresses::Unknown => peer,
        }),
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Local, _) => Ok(peer),
            (v2::Command::Proxy, v2::Addresses::IPv4(a)) => Ok((a.source_address, a.source_port).into()),
            (v2::Command::Proxy, v2::Addresses::IPv6(a)) => Ok((a.source_address, a.source_port).into()),
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => {
                Err(bad("the header names no IP address"))
            }
        },
        HeaderResult::V1(Err(error)) => Err(bad(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(bad(&error.to_string())),
    }
}

fn bad(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("PROXY protocol: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Option<String>, usize) {
        let mut rest = bytes;
        let peer = SocketAddr::from(([192, 0, 2, 1], 9));
        let source = read_source(&mut rest, peer).await.ok().map(|s| s.to_string());
        (source, rest.len())
    }

    #[tokio::test]
    async fn headers_are_read_exactly() {
        assert_eq!(
            read(b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 22\r\nSSH-2.0-x").await,
            (Some("198.51.100.7:4711".into()), 9)
        );
        assert_eq!(read(b"PROXY TCP6 2001:db8::7 ::1 4711 22\r\n").await, (Some("[2001:db8::7]:4711".into()), 0));
        assert_eq!(
            read(b"PROXY TCP6 ::ffff:198.51.100.7 ::1 4711 22\r\n").await,
            (Some("198.51.100.7:4711".into()), 0),
            "one source has one address"
        );
        assert_eq!(read(b"PROXY UNKNOWN\r\nabc").await, (Some("192.0.2.1:9".into()), 3));
        let mut v2 = V2_SIGNATURE.to_vec();
        v2.extend([0x21, 0x11, 0, 12, 198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 22]);
        assert_eq!(read(&[v2.as_slice(), b"xy"].concat()).await, (Some("198.51.100.7:4711".into()), 2));
        let mut mapped = V2_SIGNATURE.to_vec();
        mapped.extend([0x21, 0x21, 0, 36]);
        mapped.extend(std::net::Ipv4Addr::new(198, 51, 100, 7).to_ipv6_mapped().octets().repeat(2));
        mapped.extend([0x12, 0x67, 0, 22]);
        assert_eq!(read(&mapped).await, (Some("198.51.100.7:4711".into()), 0));
        v2[12] = 0x20;
        assert_eq!(read(&v2).await.0, Some("192.0.2.1:9".into()));
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        for bytes in [
            &b""[..],
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"PROXY ",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 4711\r\n",
            b"PROXY TCP4 198.51.100.777 10.0.0.1 4711 22\r\n",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 99999 22\r\n",
            b"PROXY UDP4 198.51.100.7 10.0.0.1 4711 22\r\n",
            b"proxy TCP4 198.51.100.7 10.0.0.1 4711 22\r\n",
            &[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            &[V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat(),
            &[V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat(),
            &[V2_SIGNATURE.as_slice(), &[0x31, 0x11, 0, 0]].concat(),
            &[V2_SIGNATURE.as_slice(), &[0x21, 0x31, 0, 0]].concat(),
        ] {
            assert_eq!(read(bytes).await.0, None, "{}", bytes.escape_ascii());
        }
    }
}
