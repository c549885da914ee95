//! A client that TLS has identified: the mTLS door with ALPN `netconf`, or the port of NETCONF over TLS.

use std::sync::Arc;

use super::Netconf;
use crate::access::{Access, Client, Entry, Refusal, Stream, Subsystem, Visit};
use crate::domain::{Event, Outcome, RefusalStage};

/// The only channel of such a connection.
const CHANNEL: u32 = 0;

/// Serves one client until it is gone.
pub(super) async fn serve(access: Arc<Access>, client: Client) {
    let Entry::Identified { verified, element, .. } = client.entry else { return };
    let Some(account) = access.account_for(verified.identity(), &element) else {
        let event = Event::Refused {
            door: verified.door(),
            stage: RefusalStage::Open,
            source: Some(verified.peer()),
            identity: Some(verified.identity().to_string()),
            reason: "no line of doors.netconf.accounts fits".to_owned(),
        };
        return access.report_refusal(event).await;
    };
    let visit = Visit::new(access, verified, element, account, "netconf");
    let outcome = tokio::select! {
        outcome = converse(&visit, client.stream) => outcome,
        outcome = visit.supervise() => outcome,
    };
    visit.close(outcome).await;
}

async fn converse(visit: &Arc<Visit>, stream: Box<dyn Stream>) -> Outcome {
    // Not called off when the client leaves meanwhile: what the log knows as opened must be closed.
    let grant = match visit.ask(CHANNEL, &Netconf.opening()).await {
        Ok(grant) => grant,
        Err(Refusal::Denied(_)) => return Outcome::PolicyDenies,
        Err(Refusal::Unavailable(outcome)) => return outcome,
    };
    let outcome = tokio::select! {
        outcome = Netconf.speak(visit, &grant, CHANNEL, stream) => outcome,
        outcome = grant.stopped() => outcome,
    };
    if matches!(outcome, Outcome::ElementClosed | Outcome::ElementUnreachable) {
        grant.session().note_lost(outcome);
    }
    grant.close(outcome);
    outcome
}
