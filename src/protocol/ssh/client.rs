//! The client's end of a channel: what is said to it, and what becomes of that when it has left.

use std::time::Duration;

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf, Sig};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use crate::domain::Outcome;

/// The client's end of a channel.
///
/// A client that closes the channel, or is gone, is not told anything any more; but what it sent before is still due to the element, which may
/// say something meanwhile. So saying something to a client that has left succeeds.
pub(super) struct ClientChannel {
    pub(super) id: ChannelId,
    pub(super) number: u32,
    pub(super) write: ChannelWriteHalf<Msg>,
    pub(super) handle: Handle,
    pub(super) queue: Queue,
    /// Cancelled when the client closed the channel, or is gone.
    pub(super) left: CancellationToken,
    /// Cancelled when the channel is over, so that nothing waits for it.
    pub(super) over: CancellationToken,
}

/// The SSH extended data type of standard error (RFC 4254 §5.2).
const STDERR: u32 = 1;
/// A client whose window stays shut is not told.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

impl ClientChannel {
    /// Sends bytes; waits for the client's window.
    pub(super) async fn send(&self, error: bool, data: Bytes) -> Result<(), Outcome> {
        if data.is_empty() || self.left.is_cancelled() {
            return Ok(());
        }
        let sending = async {
            if error { self.write.extended_data_bytes(STDERR, data).await } else { self.write.data_bytes(data).await }
        };
        tokio::select! {
            sent = sending => {
                self.said(sent.is_ok());
                Ok(())
            }
            () = self.left.cancelled() => Ok(()),
            () = self.over.cancelled() => Err(Outcome::ClientClosed),
        }
    }

    /// The end of output.
    pub(super) async fn eof(&self) {
        self.said(self.handle.eof(self.id).await.is_ok());
    }

    /// The answer to the client's request.
    pub(super) async fn answer(&self, yes: bool) {
        let answered =
            if yes { self.handle.channel_success(self.id).await } else { self.handle.channel_failure(self.id).await };
        self.said(answered.is_ok());
    }

    pub(super) async fn exit_status(&self, status: u32) {
        self.said(self.handle.exit_status_request(self.id, status).await.is_ok());
    }

    pub(super) async fn exit_signal(&self, name: &str, core_dumped: bool, message: String, language: String) {
        let signal = signal_of(name);
        self.said(self.handle.exit_signal_request(self.id, signal, core_dumped, message, language).await.is_ok());
    }

    pub(super) async fn xon_xoff(&self, client_can_do: bool) {
        self.said(self.handle.xon_xoff_request(self.id, client_can_do).await.is_ok());
    }

    /// Nothing can be said to a client that is gone: it has left every channel.
    fn said(&self, said: bool) {
        if !said {
            self.left.cancel();
        }
    }

    /// Closes the channel, and ends whatever waits for it.
    pub(super) async fn close(&self) {
        self.said(self.handle.close(self.id).await.is_ok());
        self.over.cancel();
    }

    /// A line for the person, on standard error.
    pub(super) async fn tell(&self, text: &str) {
        let line = Bytes::from(format!("sallyport: {text}\r\n"));
        // A client whose window stays shut cannot be told; the channel ends all the same.
        drop(tokio::time::timeout(TOLD_WITHIN, self.send(true, line)).await);
    }
}

/// A signal by its name without `SIG` (RFC 4254 §6.10).
pub(super) fn signal_of(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}

/// The name of a signal without `SIG`.
pub(super) fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
    .to_owned()
}
