//! Channels that an element opens towards the gateway: only what its link asked for is offered, and nobody has to take it.

use bytes::Bytes;
use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio_util::sync::CancellationToken;

use crate::element::credential::printable;
use crate::element::{LinkClosed, Listen, Origin};

/// What an element says it opens a channel for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim<'a> {
    Agent,
    Display { originator: &'a str, originator_port: u32 },
    Socket { path: &'a str },
    Tcp { address: &'a str, port: u32, originator: &'a str, originator_port: u32 },
}

/// What a link has asked its element for. Nothing, unless somebody did.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) agent: bool,
    pub(super) displays: Displays,
    pub(super) listen: Option<Listen>,
}

/// How many connections to the display are left.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Displays {
    #[default]
    None,
    One,
    Any,
}

impl Asked {
    /// Whether the link asked for what the element claims; if so, where it comes from.
    pub(super) fn admit(&mut self, claim: Claim<'_>) -> Option<Origin> {
        match claim {
            Claim::Agent => self.agent.then_some(Origin::Agent),
            Claim::Display { originator, originator_port } => {
                match self.displays {
                    Displays::None => return None,
                    Displays::One => self.displays = Displays::None,
                    Displays::Any => {}
                }
                Some(Origin::Display { originator: printable(originator), originator_port })
            }
            Claim::Socket { path } => match &self.listen {
                Some(Listen::Socket { path: asked }) if asked == path => Some(Origin::Socket),
                Some(Listen::Socket { .. } | Listen::Tcp { .. }) | None => None,
            },
            Claim::Tcp { address, port, originator, originator_port } => match &self.listen {
                // A port of the element's choice is not known before it answers, and connections may come with the answer.
                Some(Listen::Tcp { host, port: asked }) if host == address && (*asked == 0 || *asked == port) => {
                    Some(Origin::Tcp { originator: printable(originator), originator_port })
                }
                Some(Listen::Socket { .. } | Listen::Tcp { .. }) | None => None,
            },
        }
    }
}

/// A channel that the element wants to open. Dropping it refuses.
pub struct Offer {
    origin: Origin,
    reply: ChannelOpenHandle,
    channel: Channel<Msg>,
    /// The link is gone, or the gateway ends it.
    ends: [CancellationToken; 2],
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Offer {
    pub(super) fn new(
        origin: Origin,
        reply: ChannelOpenHandle,
        channel: Channel<Msg>,
        ends: [CancellationToken; 2],
    ) -> Self {
        Self { origin, reply, channel, ends }
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Takes the channel.
    pub async fn accept(self) -> (InboundReader, InboundWriter) {
        let (read, write) = self.channel.split();
        self.reply.accept().await;
        (InboundReader { read, ends: self.ends.clone() }, InboundWriter { write, ends: self.ends })
    }
}

/// What the element says on a channel that it opened.
#[derive(Debug)]
pub enum Said {
    /// Bytes.
    Data(Bytes),
    /// No more bytes.
    Eof,
}

/// The element's side of an accepted channel. What is not read waits in a queue of bounded length; when that is full, the whole link waits,
/// because the SSH library opens the element's window again without asking.
#[derive(Debug)]
pub struct InboundReader {
    read: ChannelReadHalf,
    ends: [CancellationToken; 2],
}

impl InboundReader {
    /// The next thing it says; `None` when the channel, or the link, is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Said> {
        let said = async {
            loop {
                match self.read.wait().await? {
                    ChannelMsg::Data { data } => return Some(Said::Data(data)),
                    ChannelMsg::Eof => return Some(Said::Eof),
                    ChannelMsg::Close => return None,
                    // Windows are the library's business; requests and extended data mean nothing on such a channel.
                    _ => {}
                }
            }
        };
        tokio::select! {
            biased;
            said = said => said,
            () = ended(&self.ends) => None,
        }
    }
}

/// Our side of an accepted channel.
#[derive(Debug)]
pub struct InboundWriter {
    write: ChannelWriteHalf<Msg>,
    ends: [CancellationToken; 2],
}

impl InboundWriter {
    /// Sends bytes; waits for the element's window.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn data(&self, data: Bytes) -> Result<(), LinkClosed> {
        self.sent(self.write.data_bytes(data)).await
    }

    /// No more bytes will come.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn eof(&self) -> Result<(), LinkClosed> {
        self.sent(self.write.eof()).await
    }

    /// Closes the channel. Drop its reader first: a full queue holds the link up.
    pub async fn close(self) {
        // A link that is gone has closed it already.
        drop(self.sent(self.write.close()).await);
    }

    async fn sent(&self, sending: impl Future<Output = Result<(), russh::Error>>) -> Result<(), LinkClosed> {
        if self.ends.iter().any(CancellationToken::is_cancelled) {
            return Err(LinkClosed);
        }
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|_| LinkClosed),
            () = ended(&self.ends) => Err(LinkClosed),
        }
    }
}

async fn ended([one, other]: &[CancellationToken; 2]) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str, port: u32) -> Claim<'_> {
        Claim::Tcp { address, port, originator: "127.0.0.1", originator_port: 5 }
    }

    const DISPLAY: Claim<'_> = Claim::Display { originator: "::1", originator_port: 6 };

    #[test]
    fn nothing_is_admitted_unasked() {
        for claim in [Claim::Agent, DISPLAY, Claim::Socket { path: "/run/x" }, tcp("localhost", 80), tcp("", 0)] {
            assert_eq!(Asked::default().admit(claim), None, "{claim:?}");
        }
    }

    #[test]
    fn each_is_admitted_for_what_was_asked_alone() {
        let agent = || Asked { agent: true, ..Asked::default() };
        let display = || Asked { displays: Displays::Any, ..Asked::default() };
        let listen = |listen| Asked { listen: Some(listen), ..Asked::default() };
        let port = || listen(Listen::Tcp { host: "localhost".into(), port: 80 });
        let any_port = || listen(Listen::Tcp { host: "localhost".into(), port: 0 });
        let socket = || listen(Listen::Socket { path: "/run/x".into() });
        assert_eq!(agent().admit(Claim::Agent), Some(Origin::Agent));
        assert!(display().admit(DISPLAY).is_some() && port().admit(tcp("localhost", 80)).is_some());
        assert!(any_port().admit(tcp("localhost", 4_000)).is_some());
        assert_eq!(socket().admit(Claim::Socket { path: "/run/x" }), Some(Origin::Socket));
        let claims = [Claim::Agent, DISPLAY, Claim::Socket { path: "/run/x" }, tcp("localhost", 80)];
        for (mut asked, own) in [(agent(), 0), (display(), 1), (socket(), 2), (port(), 3)] {
            for (index, claim) in claims.into_iter().enumerate() {
                assert_eq!(asked.admit(claim).is_some(), index == own, "{asked:?} {claim:?}");
            }
        }
        for claim in [tcp("localhost", 81), tcp("0.0.0.0", 80), tcp("", 80), Claim::Socket { path: "/run/y" }] {
            assert_eq!(port().admit(claim), None, "{claim:?}");
            assert_eq!(socket().admit(claim), None, "{claim:?}");
        }
        assert_eq!(any_port().admit(tcp("127.0.0.1", 4_000)), None);
    }

    #[test]
    fn a_single_connection_to_the_display_is_single() {
        let mut asked = Asked { displays: Displays::One, ..Asked::default() };
        assert!(asked.admit(DISPLAY).is_some());
        assert_eq!(asked.admit(DISPLAY), None);
    }

    #[test]
    fn an_originator_is_printable() {
        let mut asked = Asked { displays: Displays::Any, ..Asked::default() };
        let claim = Claim::Display { originator: "\u{1b}[2J", originator_port: 1 };
        assert_eq!(
            asked.admit(claim),
            Some(Origin::Display { originator: "\\u{1b}[2J".to_owned(), originator_port: 1 })
        );
    }
}
