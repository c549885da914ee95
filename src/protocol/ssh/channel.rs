//! One session channel, from the client's request to the last byte: ask, dial, start, relay, close.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::actions::{Understood, Wanted, of_request, undecidable};
use super::client::ClientChannel;
use super::connection::Connection;
use super::inbound::{Inbound, OFFERS_MAX, Ways};
use super::queue::{Control, Item, Next};
use super::sink::{Awaited, Shared, Sink};
use super::subsystem;
use super::tape::{Keeping, Tape};
use crate::access::{Display, Grant, Link, LinkClosed, Opening, Refusal, Terminal, Visit};
use crate::domain::{Action, Outcome, Verb};
use crate::recording::Frame;

/// The exit status of a command that the gateway refused: what shells use for "cannot execute", so that automation does not take it for a
/// broken connection and try again.
const REFUSED_STATUS: u32 = 126;
/// How long before the failure of a subsystem its reason is told.
const TOLD_APART: Duration = Duration::from_millis(100);
/// The exit status when the element was not reached: what `ssh` itself uses.
const UNREACHABLE_STATUS: u32 = 255;
/// What a client sent before it left must be on its way to the element within this.
const DUE_WITHIN: Duration = Duration::from_secs(2);
/// And the element may take so long for it.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// What the client asked for before it asked for the command.
#[derive(Debug, Default)]
pub(super) struct Setup {
    pub(super) terminal: Option<Terminal>,
    pub(super) environment: Vec<(String, String)>,
    /// Its display, when policy allows it to be used.
    pub(super) display: Option<Display>,
    /// By what the element may reach the client.
    pub(super) ways: Ways,
    /// Whether the client was told yes before the element was asked.
    pub(super) answered: bool,
}

/// Serves the channel until it is over.
pub(super) async fn serve(
    connection: Arc<Connection>,
    visit: Arc<Visit>,
    client: ClientChannel,
    setup: Setup,
    wanted: Wanted,
) {
    if let Wanted::Subsystem(name) = &wanted
        && let Some(subsystem) = visit.access().subsystem(name)
    {
        return subsystem::serve(&visit, client, subsystem).await;
    }
    let started = std::time::Instant::now();
    let (action, understood) = match of_request(&wanted) {
        Ok(understood) => understood,
        Err(text) => {
            let action = match &wanted {
                Wanted::Exec(command) => undecidable(command),
                Wanted::Shell => Action::new(Verb::SshRawShell, ""),
                Wanted::Subsystem(name) => Action::new(Verb::SshSubsystem, name.as_str()),
            };
            let refusal = visit.forbid(client.number, &action, &text).await;
            return refuse(&client, &wanted, &refusal).await;
        }
    };
    // Not called off when the client leaves meanwhile: what the log knows as opened must be closed.
    let grant = match visit.ask(client.number, &action).await {
        Ok(grant) => grant,
        Err(refusal) => return refuse(&client, &wanted, &refusal).await,
    };
    // SECURITY: a terminal edits what passes through it (erase characters, end of line, stripped bits), so the far side would read other bytes
    // than those that were decided. A file transfer never gets one.
    let transfer = !matches!(understood, Understood::Plain);
    let mut setup = if transfer { Setup { terminal: None, ..setup } } else { setup };
    let keeping = Keeping::of(&wanted, visit.access().limits());
    let tape = Tape::new(client.number, understood, setup.terminal.is_some(), keeping);
    let shared = Arc::new(Shared {
        client,
        session: grant.session().clone(),
        tape: Mutex::new(Some(tape)),
        transfer: transfer.then(|| tokio::sync::Mutex::new(())),
        awaited: Mutex::new(VecDeque::new()),
        answer: watch::Sender::new(None),
        closed: CancellationToken::new(),
        held_eof: AtomicBool::new(false),
        holding: Notify::new(),
        expects_status: AtomicBool::new(true),
        input_ended: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        known: CancellationToken::new(),
    });
    shared.known.cancel();
    if transfer {
        grant.stands_by(shared.clone());
    }
    let ways = std::mem::take(&mut setup.ways);
    let asks = Asks { setup: &setup, wanted: &wanted, agent: ways.agent.is_some(), started };
    let (offer, mut offers) = mpsc::channel(OFFERS_MAX);
    let sink = if ways.any() { Sink::offering(shared.clone(), offer) } else { Sink::new(shared.clone()) };
    let inbound = Inbound::new(connection, shared.client.handle.clone(), shared.session.clone(), ways);
    let outcome = tokio::select! {
        outcome = run(&shared, &grant, sink, &asks, &visit) => outcome,
        outcome = grant.stopped() => outcome,
        () = shared.client.over.cancelled() => Outcome::ClientClosed,
        () = inbound.attend(&mut offers) => Outcome::ElementClosed,
    };
    inbound.end(outcome).await;
    close(&shared, grant, outcome).await;
}

/// What the client asked for, all of it.
struct Asks<'a> {
    setup: &'a Setup,
    wanted: &'a Wanted,
    agent: bool,
    started: std::time::Instant,
}

async fn run(shared: &Arc<Shared>, grant: &Grant, sink: Sink, asks: &Asks<'_>, visit: &Visit) -> Outcome {
    let link = match grant.dial(Opening::Session, sink).await {
        Ok((link, _)) => link,
        Err(refusal) => {
            refuse(&shared.client, asks.wanted, &refusal).await;
            return Outcome::ElementUnreachable;
        }
    };
    match start(shared, &link, asks, visit).await {
        Ok(true) => visit.access().metrics().open_seconds.observe(asks.started.elapsed().as_secs_f64()),
        // A client that was told yes already hears of it like any other that is refused.
        Ok(false) if asks.setup.answered => {
            let refusal = Refusal::Denied("the element refused the request".to_owned());
            give_up(&shared.client, asks.wanted, &refusal, UNREACHABLE_STATUS).await;
            return Outcome::ElementClosed;
        }
        Ok(false) => return Outcome::ElementClosed,
        Err(Outcome::ElementUnreachable) => {
            grant.unanswered().await;
            refuse(&shared.client, asks.wanted, &Refusal::Unavailable(Outcome::ElementUnreachable)).await;
            return Outcome::ElementUnreachable;
        }
        Err(outcome) => return outcome,
    }
    let drained = async {
        visit.access().draining().cancelled().await;
        let seconds = visit.access().limits().drain_grace.as_secs();
        shared
            .client
            .tell(&format!("the gateway is shutting down; this session ends in {seconds} s at the latest"))
            .await;
        std::future::pending::<Outcome>().await
    };
    tokio::select! {
        outcome = relay(shared, link) => outcome,
        outcome = drained => outcome,
    }
}

/// Both ways until either side ends. What the client sent before it left is delivered.
pub(super) async fn relay(shared: &Shared, link: Link<Sink>) -> Outcome {
    let outcome = tokio::select! {
        outcome = pump(shared, &link) => outcome,
        () = shared.closed.cancelled() => Outcome::ElementClosed,
        () = shared.hold_eof_no_longer() => Outcome::ElementClosed,
    };
    if outcome == Outcome::ClientClosed {
        link.close(TAKEN_WITHIN).await;
    }
    outcome
}

/// Asks the element for what the client asked for; whether it agreed.
async fn start(shared: &Shared, link: &Link<Sink>, asks: &Asks<'_>, visit: &Visit) -> Result<bool, Outcome> {
    let Asks { setup, wanted, .. } = asks;
    let channel = shared.client.number;
    let awaits = |what| shared.awaited.lock().unwrap_or_else(PoisonError::into_inner).push_back(what);
    for (name, value) in &setup.environment {
        let passed = visit.access().limits().passes_environment(name);
        shared.session.record(&Frame::Environment { channel, name, value: if passed { value } else { "" }, passed })?;
        if passed {
            link.environment(name, value).await.map_err(gone)?;
        }
    }
    if asks.agent {
        awaits(Awaited::Agent);
        link.agent().await.map_err(gone)?;
    }
    if let Some(display) = &setup.display {
        awaits(Awaited::Display);
        link.display(display).await.map_err(gone)?;
    }
    if let Some(terminal) = &setup.terminal {
        let Terminal { term, columns, rows, .. } = terminal;
        shared.session.record(&Frame::Terminal { channel, term, columns: *columns, rows: *rows })?;
        awaits(Awaited::Terminal);
        link.terminal(terminal).await.map_err(gone)?;
    }
    awaits(Awaited::Request);
    match wanted {
        Wanted::Shell => link.shell().await,
        Wanted::Exec(command) => link.exec(command).await,
        Wanted::Subsystem(name) => link.subsystem(name).await,
    }
    .map_err(gone)?;
    let mut answer = shared.answer.subscribe();
    tokio::select! {
        answer = tokio::time::timeout(visit.access().limits().answer_timeout, answer.wait_for(Option::is_some)) => match answer {
            Ok(Ok(answer)) => Ok(*answer == Some(true)),
            Ok(Err(_)) | Err(_) => Err(Outcome::ElementUnreachable),
        },
        () = shared.closed.cancelled() => Ok(false),
    }
}

/// From the client to the element. Ends when the link does, or when the client has left and the element has what it sent before.
async fn pump(shared: &Shared, link: &Link<Sink>) -> Outcome {
    let late = async {
        shared.client.left.cancelled().await;
        tokio::time::sleep(DUE_WITHIN).await;
    };
    tokio::select! {
        carried = carry(shared, link) => {
            let Err(outcome) = carried;
            outcome
        }
        () = late => Outcome::ClientClosed,
    }
}

async fn carry(shared: &Shared, link: &Link<Sink>) -> Result<Infallible, Outcome> {
    loop {
        let next = tokio::select! {
            biased;
            next = shared.client.queue.next() => next,
            () = shared.client.left.cancelled() => return Err(Outcome::ClientClosed),
        };
        match next {
            Next::Item(Item::Data(data)) => {
                let turn = shared.turn().await;
                let onward = shared.with_tape(|tape| tape.from_client(&shared.session, &shared.client.queue, data))?;
                shared.session.report_denials().await;
                shared.client.send(false, onward.to_client).await?;
                drop(turn);
                deliver(shared, link, onward.to_element).await?;
            }
            Next::Item(Item::Made(data)) => deliver(shared, link, data).await?,
            Next::Item(Item::Eof) => {
                link.eof().await.map_err(gone)?;
                shared.input_ended.store(true, Ordering::Relaxed);
            }
            Next::Control(control) => obey(shared, link, control).await?,
        }
    }
}

/// Sends bytes. A window change or a signal does not wait until the element takes them: it may be what makes it take them.
async fn deliver(shared: &Shared, link: &Link<Sink>, data: Bytes) -> Result<(), Outcome> {
    if data.is_empty() {
        return Ok(());
    }
    let sending = link.data(data);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => return sent.map_err(gone),
            control = shared.client.queue.next_control() => obey(shared, link, control).await?,
        }
    }
}

fn gone(_: LinkClosed) -> Outcome {
    Outcome::ElementClosed
}

async fn obey(shared: &Shared, link: &Link<Sink>, control: Control) -> Result<(), Outcome> {
    let channel = shared.client.number;
    match control {
        Control::Resize { columns, rows, pixel_width, pixel_height } => {
            shared.session.record(&Frame::Resize { channel, columns, rows })?;
            link.resize(columns, rows, pixel_width, pixel_height).await.map_err(gone)
        }
        Control::Signal(name) => {
            shared.session.record(&Frame::Signal { channel, name: &name })?;
            link.signal(&name).await.map_err(gone)
        }
    }
}

/// Tells the client why, when it did not end by itself, records the end, and closes the channel.
pub(super) async fn close(shared: &Arc<Shared>, grant: Grant, outcome: Outcome) {
    let tape = shared.tape.lock().unwrap_or_else(PoisonError::into_inner).take();
    let outcome = match tape.map(|tape| tape.finish(&shared.session)) {
        Some(Err(failed)) if outcome != Outcome::ClientClosed => failed,
        _ => outcome,
    };
    shared.session.report_denials().await;
    match outcome {
        Outcome::ElementUnreachable => shared.session.note_lost(outcome),
        Outcome::ElementClosed if !shared.ended.load(Ordering::Relaxed) => shared.session.note_lost(outcome),
        _ => {}
    }
    match outcome {
        Outcome::ClientClosed | Outcome::ElementClosed | Outcome::ElementUnreachable => {}
        other => shared.client.tell(other.message()).await,
    }
    grant.close(outcome);
    shared.client.close().await;
}

/// Says no: the reason on standard error, then an answer that the client's automation understands.
pub(super) async fn refuse(client: &ClientChannel, wanted: &Wanted, refusal: &Refusal) {
    let status = match refusal {
        Refusal::Denied(_) => REFUSED_STATUS,
        Refusal::Unavailable(_) => UNREACHABLE_STATUS,
    };
    give_up(client, wanted, refusal, status).await;
}

async fn give_up(client: &ClientChannel, wanted: &Wanted, refusal: &Refusal, status: u32) {
    client.tell(&refusal.message()).await;
    match wanted {
        Wanted::Subsystem(_) => {
            // OpenSSH leaves at once when a subsystem fails, and does not write what it has read together with that.
            tokio::time::sleep(TOLD_APART).await;
            client.answer(false).await;
        }
        Wanted::Shell | Wanted::Exec(_) => {
            client.answer(true).await;
            client.exit_status(status).await;
        }
    }
    client.eof().await;
    client.close().await;
}
