//! A subsystem that another protocol's adapter serves: its bytes are handed over as a plain stream, both ways with back-pressure.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::actions::Wanted;
use super::channel::refuse;
use super::client::ClientChannel;
use super::queue::{Item, Next};
use crate::access::{Subsystem, Visit};
use crate::domain::Outcome;

/// Bytes that wait between the two, each way.
const PIPE_BYTES: usize = 64 << 10;

/// Serves the channel until it is over.
pub(super) async fn serve(visit: &Arc<Visit>, client: ClientChannel, subsystem: &'static dyn Subsystem) {
    let wanted = Wanted::Subsystem(subsystem.name().to_owned());
    // Not called off when the client leaves meanwhile: what the log knows as opened must be closed.
    let grant = match visit.ask(client.number, &subsystem.opening()).await {
        Ok(grant) => grant,
        Err(refusal) => return refuse(&client, &wanted, &refusal).await,
    };
    client.answer(true).await;
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (from_adapter, to_adapter) = tokio::io::split(far);
    let speaking = async {
        let (outcome, sent) = tokio::join!(
            subsystem.speak(visit, &grant, client.number, Box::new(near)),
            to_client(&client, from_adapter)
        );
        sent.err().unwrap_or(outcome)
    };
    let outcome = tokio::select! {
        outcome = speaking => outcome,
        outcome = from_client(&client, to_adapter) => outcome,
        outcome = grant.stopped() => outcome,
        () = client.over.cancelled() => Outcome::ClientClosed,
    };
    let status = match outcome {
        Outcome::ClientClosed => 0,
        Outcome::ElementClosed | Outcome::ElementUnreachable => {
            grant.session().note_lost(outcome);
            1
        }
        other => {
            client.tell(other.message()).await;
            1
        }
    };
    client.exit_status(status).await;
    client.eof().await;
    grant.close(outcome);
    client.close().await;
}

async fn to_client(client: &ClientChannel, mut from: ReadHalf<DuplexStream>) -> Result<(), Outcome> {
    let mut buffer = vec![0; PIPE_BYTES / 2];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => client.send(false, Bytes::copy_from_slice(buffer.get(..n).unwrap_or_default())).await?,
        }
    }
}

/// What the client sent before it left is still due. Ends only when the adapter takes no more, and then what it says last is still waited for.
async fn from_client(client: &ClientChannel, mut to: WriteHalf<DuplexStream>) -> Outcome {
    loop {
        let next = tokio::select! {
            biased;
            next = client.queue.next() => next,
            () = client.left.cancelled() => Next::Item(Item::Eof),
        };
        let done = match next {
            Next::Item(Item::Data(data) | Item::Made(data)) => to.write_all(&data).await.is_ok(),
            Next::Item(Item::Eof) => {
                // Fails only when the adapter takes no more.
                to.shutdown().await.ok();
                false
            }
            Next::Control(_) => true,
        };
        if !done {
            return std::future::pending().await;
        }
    }
}
