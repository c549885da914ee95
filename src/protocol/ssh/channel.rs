//! One session channel, from the client's request to the last byte: ask, dial, start, relay, close.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::actions::{Understood, Wanted, of_request};
use super::connection::Connection;
use super::inbound::{Inbound, OFFERS_MAX, Ways};
use super::queue::{Control, Item, Next};
use super::sink::{Awaited, ClientChannel, Shared, Sink};
use super::tape::{Keeping, Tape};
use crate::access::{Display, Grant, Link, LinkClosed, Opening, Refusal, Terminal, Visit};
use crate::domain::Outcome;
use crate::recording::Frame;

/// The exit status of a command that the gateway refused: what shells use for "cannot execute", so that automation does not take it for a
/// broken connection and try again.
const REFUSED_STATUS: u32 = 126;
/// The exit status when the element was not reached: what `ssh` itself uses.
const UNREACHABLE_STATUS: u32 = 255;
/// The element must answer a request within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the client asked for before it asked for the command.
#[derive(Debug, Default)]
pub(super) struct Setup {
    pub(super) terminal: Option<Terminal>,
    pub(super) environment: Vec<(String, String)>,
    /// Its display, when policy allows it to be used.
    pub(super) display: Option<Display>,
    /// By what the element may reach the client.
    pub(super) ways: Ways,
}

/// Serves the channel until it is over.
pub(super) async fn serve(
    connection: Arc<Connection>,
    visit: Arc<Visit>,
    client: ClientChannel,
    setup: Setup,
    wanted: Wanted,
) {
    let started = std::time::Instant::now();
    let (action, understood) = match of_request(&wanted) {
        Ok(understood) => understood,
        Err(text) => return refuse(&client, &wanted, &Refusal::Denied(format!("refused: {text}"))).await,
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
        expects_status: AtomicBool::new(true),
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
        Ok(false) => return Outcome::ElementClosed,
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
        outcome = pump(shared, &link) => outcome,
        () = shared.closed.cancelled() => Outcome::ElementClosed,
        outcome = drained => outcome,
    }
}

/// Asks the element for what the client asked for; whether it agreed.
async fn start(shared: &Shared, link: &Link<Sink>, asks: &Asks<'_>, visit: &Visit) -> Result<bool, Outcome> {
    let Asks { setup, wanted, .. } = asks;
    let gone = |_: LinkClosed| Outcome::ElementClosed;
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
        answer = tokio::time::timeout(ANSWER_TIMEOUT, answer.wait_for(Option::is_some)) => match answer {
            Ok(Ok(answer)) => Ok(*answer == Some(true)),
            Ok(Err(_)) | Err(_) => Err(Outcome::ElementUnreachable),
        },
        () = shared.closed.cancelled() => Ok(false),
    }
}

/// From the client to the element. Ends only when the link does.
pub(super) async fn pump(shared: &Shared, link: &Link<Sink>) -> Outcome {
    loop {
        let done = match shared.client.queue.next().await {
            Next::Item(Item::Data(data)) => {
                let turn = shared.turn().await;
                let onward =
                    match shared.with_tape(|tape| tape.from_client(&shared.session, &shared.client.queue, data)) {
                        Ok(onward) => onward,
                        Err(outcome) => return outcome,
                    };
                shared.session.report_denials().await;
                if let Err(outcome) = shared.client.send(false, onward.to_client).await {
                    return outcome;
                }
                drop(turn);
                if onward.to_element.is_empty() { Ok(()) } else { link.data(onward.to_element).await }
            }
            Next::Item(Item::Made(data)) => link.data(data).await,
            Next::Item(Item::Eof) => link.eof().await,
            Next::Control(control) => match obey(shared, link, control).await {
                Ok(done) => done,
                Err(outcome) => return outcome,
            },
        };
        if done.is_err() {
            return Outcome::ElementClosed;
        }
    }
}

async fn obey(shared: &Shared, link: &Link<Sink>, control: Control) -> Result<Result<(), LinkClosed>, Outcome> {
    let channel = shared.client.number;
    match control {
        Control::Resize { columns, rows, pixel_width, pixel_height } => {
            shared.session.record(&Frame::Resize { channel, columns, rows })?;
            Ok(link.resize(columns, rows, pixel_width, pixel_height).await)
        }
        Control::Signal(name) => {
            shared.session.record(&Frame::Signal { channel, name: &name })?;
            Ok(link.signal(&name).await)
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
async fn refuse(client: &ClientChannel, wanted: &Wanted, refusal: &Refusal) {
    let status = match refusal {
        Refusal::Denied(_) => REFUSED_STATUS,
        Refusal::Unavailable(_) => UNREACHABLE_STATUS,
    };
    client.tell(&refusal.message()).await;
    let (handle, id) = (&client.handle, client.id);
    // Each of these fails only when the client is gone.
    match wanted {
        Wanted::Subsystem(_) => {
            handle.channel_failure(id).await.ok();
        }
        Wanted::Shell | Wanted::Exec(_) => {
            handle.channel_success(id).await.ok();
            handle.exit_status_request(id, status).await.ok();
        }
    }
    handle.eof(id).await.ok();
    handle.close(id).await.ok();
    client.over.cancel();
}
