//! Listeners on the element whose connections come to the client. Each has a link of its own and belongs to one client connection: no other
//! can see or cancel it.

use std::sync::Arc;

use russh::server::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::actions;
use super::connection::Connection;
use super::inbound::{Inbound, OFFERS_MAX, Ways};
use crate::access::{Grant, LinkEvent, LinkSink, Listen, Listening, Offer, Visit};
use crate::domain::{Action, Outcome, Verb};
use crate::recording::Frame;

/// Hands what the element offers on, without waiting. A listener's link has no channel of its own, so there is nothing else to take.
pub(super) struct Offers(mpsc::Sender<Offer>);

impl LinkSink for Offers {
    async fn take(&mut self, _event: LinkEvent<'_>) -> Result<(), Outcome> {
        Ok(())
    }

    fn offered(&mut self, offer: Offer) {
        // No room, or nobody left who listens: dropping the offer refuses it.
        drop(self.0.try_send(offer));
    }
}

/// Makes the element listen, if policy allows; where it does, or what the person is told.
pub(super) async fn open(
    connection: &Arc<Connection>,
    visit: &Arc<Visit>,
    handle: Handle,
    listen: Listen,
    cancel: CancellationToken,
) -> Result<Listen, String> {
    let (object, shown) = match &listen {
        Listen::Tcp { host, port } => (actions::listener(host, *port), format!("{}:{port}", host.escape_debug())),
        Listen::Socket { path } => (actions::socket(path), path.escape_debug().to_string()),
    };
    let number = connection.next_number();
    let asked = match object {
        Ok(object) => visit.ask(number, &Action::new(Verb::SshListen, object)).await,
        Err(why) => Err(visit.forbid(number, &Action::new(Verb::SshListen, shown), &why).await),
    };
    let grant = asked.map_err(|refusal| refusal.message())?;
    let (offer, offered) = mpsc::channel(OFFERS_MAX);
    let dialled = tokio::select! {
        dialled = grant.listen(listen, Offers(offer)) => dialled.map_err(|refusal| refusal.message()),
        outcome = grant.stopped() => Err(outcome.message().to_owned()),
        () = connection.left.cancelled() => Err(Outcome::ClientClosed.message().to_owned()),
    };
    let listening = match dialled {
        Ok((listening, _)) => listening,
        Err(text) => {
            grant.close(Outcome::ElementUnreachable);
            return Err(text);
        }
    };
    let bound = listening.bound().clone();
    connection.tasks.spawn(serve(connection.clone(), handle, grant, listening, offered, cancel));
    Ok(bound)
}

async fn serve(
    connection: Arc<Connection>,
    handle: Handle,
    grant: Grant,
    listening: Listening<Offers>,
    mut offers: mpsc::Receiver<Offer>,
    cancel: CancellationToken,
) {
    let (session, grant) = (grant.session().clone(), Arc::new(grant));
    let left = connection.left.clone();
    let ways = Ways { listener: Some((grant.clone(), listening.bound().clone())), ..Ways::default() };
    let inbound = Inbound::new(connection, handle, session.clone(), ways);
    let work = async {
        tokio::select! {
            () = inbound.attend(&mut offers) => {}
            () = cancel.cancelled() => {}
        }
        listening.cancel().await;
        inbound.done().await;
        Outcome::ClientClosed
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        outcome = grant.stopped() => outcome,
        () = listening.closed() => Outcome::ElementClosed,
        () = left.cancelled() => Outcome::ClientClosed,
    };
    if outcome == Outcome::ElementClosed {
        tracing::warn!(session = %session.facts().session, "The element closed a listener.");
        let text = format!("the element closed the listener {}", grant.action().object);
        // A recorder that fails here ends the session by itself.
        session.record(&Frame::Note { text: &text }).ok();
    }
    drop(grant);
    inbound.end(outcome).await;
    drop(listening);
    cancel.cancel();
}
