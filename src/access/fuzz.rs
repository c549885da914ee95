//! What must hold of any bytes in the place of a PROXY header.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::proxy;

fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 9))
}

/// What is read from the beginning of `bytes`, and what it leaves.
fn read(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let mut rest = bytes;
    let read = {
        let mut reading = pin!(proxy::read_source(&mut rest, peer()));
        match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read.ok(),
            Poll::Pending => unreachable!("bytes in memory are always there"),
        }
    };
    read.map(|source| (source, rest))
}

/// A header is read exactly: what follows it stays, and does not change what it says.
pub(crate) fn proxy_header(data: &[u8]) {
    let Some((source, rest)) = read(data) else { return };
    let (header, _) = data.split_at(data.len() - rest.len());
    assert_eq!(read(header), Some((source, &b""[..])));
    assert_eq!(read(&[header, b"\r\nPROXY "].concat()), Some((source, &b"\r\nPROXY "[..])));
    assert!(read(header.split_last().map_or(header, |(_, shorter)| shorter)).is_none());
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|a| IpAddr::V4(Ipv4Addr::from(a))),
            any::<[u8; 16]>().prop_map(|a| IpAddr::V6(Ipv6Addr::from(a)))
        ]
    }

    fn version_1(source: SocketAddr) -> Vec<u8> {
        let (family, to) = if source.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "::1") };
        format!("PROXY {family} {} {to} {} 22\r\n", source.ip(), source.port()).into_bytes()
    }

    fn version_2(source: SocketAddr, more: &[u8]) -> Vec<u8> {
        let addresses = match source.ip() {
            IpAddr::V4(ip) => [&ip.octets()[..], &[10, 0, 0, 1]].concat(),
            IpAddr::V6(ip) => [&ip.octets()[..], &Ipv6Addr::LOCALHOST.octets()].concat(),
        };
        let body = [&addresses, &source.port().to_be_bytes()[..], &[0, 22], more].concat();
        let family = if source.is_ipv4() { 0x11 } else { 0x21 };
        [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
    }

    proptest! {
        /// What a proxy writes is what is read, whatever the client says next.
        #[test]
        fn every_source_comes_back(ip in address(), port: u16, next: Vec<u8>) {
            let source = SocketAddr::new(ip, port);
            for header in [version_1(source), version_2(source, &[])] {
                let bytes = [&header[..], &next].concat();
                prop_assert_eq!(read(&bytes), Some((source, &next[..])));
                proxy_header(&bytes);
            }
        }

        /// Further fields of version 2 are skipped, never taken for the client's bytes.
        #[test]
        fn fields_after_the_addresses_are_skipped(ip in address(), port: u16, kind: u8, field in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = u16::try_from(field.len()).unwrap().to_be_bytes();
            let source = SocketAddr::new(ip, port);
            let header = version_2(source, &[&[kind], &length[..], &field].concat());
            let bytes = [&header[..], b"SSH-2.0-x"].concat();
            prop_assert_eq!(read(&bytes), Some((source, &b"SSH-2.0-x"[..])));
        }
    }
}
