//! The I/O of one channel: typed bytes in, the shell's output out, and the faults on the way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Fault;
use super::device::{Device, User};
use super::plane::Netconf;
use super::shell::Shell;

/// Bytes that may wait to be read; a client that sends more ignores its window.
const INBOX_MAX: usize = 4 << 20;
/// Bytes given to the shell at once, which bounds the output that waits.
const BITE: usize = 1024;

/// What a channel is for.
#[derive(Debug)]
pub(super) enum Work {
    /// An interactive command line.
    Shell,
    /// One line.
    Exec(String),
    /// NETCONF.
    Netconf,
}

/// What a client has sent and nobody has read. Filling it never waits.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    size: Option<(u32, u32)>,
    finished: bool,
}

/// Something to react to.
enum Arrival {
    Bytes(Vec<u8>),
    Size(u32, u32),
    Finished,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), changed: Notify::new(), closed: CancellationToken::new() }
    }

    /// Adds bytes. An error ends the connection.
    pub(super) fn put(&self, data: &[u8]) -> Result<(), russh::Error> {
        let fits = self.change(|w| {
            let fits = w.bytes.len() + data.len() <= INBOX_MAX;
            if fits {
                w.bytes.extend(data);
            }
            fits
        });
        if fits { Ok(()) } else { Err(russh::Error::Disconnect) }
    }

    pub(super) fn resize(&self, columns: u32, rows: u32) {
        self.change(|w| w.size = Some((columns, rows)));
    }

    /// No more bytes will come.
    pub(super) fn finish(&self) {
        self.change(|w| w.finished = true);
    }

    /// Nobody listens any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).bytes.len()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let result = change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        result
    }

    /// The size of the terminal, when it was said before anything else.
    fn size(&self) -> Option<(u32, u32)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).size.take()
    }

    fn look(&self) -> Option<Arrival> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((columns, rows)) = waiting.size.take() {
            return Some(Arrival::Size(columns, rows));
        }
        if waiting.bytes.is_empty() {
            return waiting.finished.then_some(Arrival::Finished);
        }
        let count = waiting.bytes.len().min(BITE);
        Some(Arrival::Bytes(waiting.bytes.drain(..count).collect()))
    }

    /// The next arrival; `None` when the channel is gone.
    async fn next(&self) -> Option<Arrival> {
        loop {
            if let Some(arrival) = self.look() {
                return Some(arrival);
            }
            tokio::select! {
                () = self.closed.cancelled() => return None,
                () = self.changed.notified() => {}
            }
        }
    }
}

/// The channel does not take bytes any more.
struct Gone;

/// Where output goes, at the pace of the client, and where faults happen.
pub(super) struct Outlet {
    half: ChannelWriteHalf<Msg>,
    fault: Fault,
    sent: u64,
    inbox: Arc<Inbox>,
    cut: CancellationToken,
}

impl Outlet {
    pub(super) fn new(half: ChannelWriteHalf<Msg>, fault: Fault, inbox: Arc<Inbox>, cut: CancellationToken) -> Self {
        Self { half, fault, sent: 0, inbox, cut }
    }

    async fn write(&mut self, mut bytes: Vec<u8>) -> Result<(), Gone> {
        let mut last = false;
        if let Fault::CloseAfter(limit) = self.fault {
            let left = usize::try_from(limit.saturating_sub(self.sent)).unwrap_or(usize::MAX);
            last = bytes.len() >= left;
            bytes.truncate(left);
        }
        self.sent = self.sent.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if !bytes.is_empty() {
            tokio::select! {
                () = self.inbox.closed.cancelled() => return Err(Gone),
                written = self.half.data_bytes(Bytes::from(bytes)) => written.map_err(|_| Gone)?,
            }
        }
        if last {
            self.cut.cancel();
            return Err(Gone);
        }
        Ok(())
    }

    async fn end(self, status: u32) {
        // A client that has gone does not need to hear any of it.
        self.half.exit_status(status).await.ok();
        self.half.eof().await.ok();
        self.half.close().await.ok();
    }
}

/// Serves one channel to its end.
pub(super) async fn run(device: Arc<Device>, user: User, level: u8, inbox: Arc<Inbox>, mut outlet: Outlet, work: Work) {
    let account = user.account.clone();
    let line = device.arrive(user, super::now());
    let shell = |account| Shell::new(device.clone(), account, line, level);
    let ended = match work {
        Work::Shell => interact(shell(account), &inbox, &mut outlet).await,
        Work::Exec(command) => execute(shell(account), &command, &inbox, &mut outlet).await,
        Work::Netconf => manage(Netconf::new(device.clone(), account), &inbox, &mut outlet).await,
    };
    device.leave(line);
    if let Ok(status) = ended {
        outlet.end(status).await;
    }
}

async fn interact(mut shell: Shell, inbox: &Inbox, outlet: &mut Outlet) -> Result<u32, Gone> {
    if let Some((columns, rows)) = inbox.size() {
        shell.resize(columns, rows);
    }
    let greeting = shell.open();
    outlet.write(greeting).await?;
    misbehave(inbox, outlet).await?;
    while let Some(arrival) = inbox.next().await {
        match arrival {
            Arrival::Bytes(bytes) => {
                let out = shell.input(&bytes, super::now());
                outlet.write(out).await?;
            }
            Arrival::Size(columns, rows) => shell.resize(columns, rows),
            Arrival::Finished => return Ok(0),
        }
        if shell.left() {
            return Ok(0);
        }
    }
    Err(Gone)
}

async fn execute(mut shell: Shell, command: &str, inbox: &Inbox, outlet: &mut Outlet) -> Result<u32, Gone> {
    misbehave(inbox, outlet).await?;
    let (out, done) = shell.exec(command, super::now());
    outlet.write(out).await?;
    Ok(u32::from(!done))
}

async fn manage(mut netconf: Netconf, inbox: &Inbox, outlet: &mut Outlet) -> Result<u32, Gone> {
    outlet.write(netconf.open()).await?;
    misbehave(inbox, outlet).await?;
    while let Some(arrival) = inbox.next().await {
        match arrival {
            Arrival::Bytes(bytes) => {
                let out = netconf.input(&bytes, super::now());
                outlet.write(out).await?;
            }
            Arrival::Size(..) => {}
            Arrival::Finished => return Ok(0),
        }
        if netconf.left() {
            return Ok(0);
        }
    }
    Err(Gone)
}

/// What a router does instead of its work, when it is to; it goes on with that until the client has gone.
async fn misbehave(inbox: &Inbox, outlet: &mut Outlet) -> Result<(), Gone> {
    match outlet.fault {
        Fault::FloodOutput => flood(outlet).await,
        Fault::StallOutput => stall(inbox).await,
        Fault::CloseAfter(_) | Fault::NeverAnswerShell | Fault::None | Fault::SlowBanner => Ok(()),
    }
}

async fn flood(outlet: &mut Outlet) -> Result<(), Gone> {
    let page =
        "%LINEPROTO-5-UPDOWN: Line protocol on Interface TenGigabitEthernet0/1/0, changed state to up\r\n".repeat(64);
    loop {
        outlet.write(page.clone().into_bytes()).await?;
    }
}

/// Takes what comes and says nothing.
async fn stall(inbox: &Inbox) -> Result<(), Gone> {
    while let Some(arrival) = inbox.next().await {
        if matches!(arrival, Arrival::Finished) {
            inbox.closed.cancelled().await;
        }
    }
    Err(Gone)
}
