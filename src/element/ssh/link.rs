//! One authenticated connection to an element, with one channel: the gateway's hand on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::{Handle, Msg};
use russh::{ChannelWriteHalf, Pty};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use super::handler::{Handler, Shared, signal};
use super::inbound::Displays;
use crate::element::{Display, LinkClosed, LinkSink, Terminal};

/// One authenticated connection to an element with one channel. Dropping it closes both at once; [`Link::close`] leaves the
/// element time to take what was sent.
pub struct Link<S: LinkSink> {
    _handle: Handle<Handler<S>>,
    writer: ChannelWriteHalf<Msg>,
    shared: Arc<Shared<S>>,
    _guard: DropGuard,
}

impl<S: LinkSink> std::fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("closed", &self.shared.closed.is_cancelled()).finish_non_exhaustive()
    }
}

impl<S: LinkSink> Link<S> {
    pub(super) fn new(
        handle: Handle<Handler<S>>,
        writer: ChannelWriteHalf<Msg>,
        shared: Arc<Shared<S>>,
        guard: DropGuard,
    ) -> Self {
        Self { _handle: handle, writer, shared, _guard: guard }
    }

    /// Asks for a terminal; the answer comes as [`LinkEvent::Reply`](crate::element::LinkEvent::Reply). Modes that the SSH library does not know are left out.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn terminal(&self, terminal: &Terminal) -> Result<(), LinkClosed> {
        let modes: Vec<(Pty, u32)> =
            terminal.modes.iter().filter_map(|(code, value)| Some((Pty::from_u8(*code)?, *value))).collect();
        let Terminal { term, columns, rows, pixel_width, pixel_height, .. } = terminal;
        self.sent(self.writer.request_pty(true, term, *columns, *rows, *pixel_width, *pixel_height, &modes)).await
    }

    /// Asks the element to offer the client's key agent to the command; answered. From here its agent channels are offered to the sink.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn agent(&self) -> Result<(), LinkClosed> {
        self.shared.asked().agent = true;
        self.sent(self.writer.agent_forward(true)).await
    }

    /// Asks the element to offer the client's display to the command; answered. From here its display channels are offered to the sink.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn display(&self, display: &Display) -> Result<(), LinkClosed> {
        let Display { single, protocol, cookie, screen } = display;
        self.shared.asked().displays = if *single { Displays::One } else { Displays::Any };
        self.sent(self.writer.request_x11(true, *single, protocol.as_str(), cookie.as_str(), *screen)).await
    }

    /// Sets a variable; no answer is asked for.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn environment(&self, name: &str, value: &str) -> Result<(), LinkClosed> {
        self.sent(self.writer.set_env(false, name, value)).await
    }

    /// Starts a shell; answered.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn shell(&self) -> Result<(), LinkClosed> {
        self.sent(self.writer.request_shell(true)).await
    }

    /// Runs a command; answered.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn exec(&self, command: &[u8]) -> Result<(), LinkClosed> {
        self.sent(self.writer.exec(true, command)).await
    }

    /// Starts a subsystem; answered.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn subsystem(&self, name: &str) -> Result<(), LinkClosed> {
        self.sent(self.writer.request_subsystem(true, name)).await
    }

    /// Passes a window change on.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn resize(&self, columns: u32, rows: u32, pixel_width: u32, pixel_height: u32) -> Result<(), LinkClosed> {
        self.sent(self.writer.window_change(columns, rows, pixel_width, pixel_height)).await
    }

    /// Passes a signal on, by its RFC 4254 name without `SIG`.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn signal(&self, name: &str) -> Result<(), LinkClosed> {
        self.sent(self.writer.signal(signal(name))).await
    }

    /// Sends bytes; waits for the element's window. When the future is dropped half-way, a part may have been sent.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn data(&self, data: Bytes) -> Result<(), LinkClosed> {
        self.sent(self.writer.data_bytes(data)).await
    }

    /// No more bytes will come.
    ///
    /// # Errors
    /// The link is gone.
    pub async fn eof(&self) -> Result<(), LinkClosed> {
        self.sent(self.writer.eof()).await
    }

    /// Waits until the channel, or the whole connection, is gone, however it went.
    pub async fn closed(&self) {
        self.shared.closed.cancelled().await;
    }

    /// Says that no more bytes will come and leaves the element `grace` to take what was sent and to close by itself; then cuts.
    pub async fn close(self, grace: Duration) {
        let goodbye = async {
            // A link that is gone already needs no goodbye.
            drop(self.eof().await);
            self.closed().await;
        };
        drop(timeout(grace, goodbye).await);
    }

    /// The library waits for a window even when nobody is left to open it; the link's end is an end.
    async fn sent(&self, sending: impl Future<Output = Result<(), russh::Error>>) -> Result<(), LinkClosed> {
        if self.shared.closed.is_cancelled() {
            return Err(LinkClosed);
        }
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|_| LinkClosed),
            () = self.shared.closed.cancelled() => Err(LinkClosed),
        }
    }
}
