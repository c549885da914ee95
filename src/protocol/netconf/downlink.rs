//! From the element to the client: answers in the order of the RPCs, pruned of what may not be read, and notifications between them.
//!
//! A message up to the recorded length is held until it is recorded whole; of a longer one the beginning is recorded before it goes on, and
//! its length and digest before its end does.

use tokio::io::{AsyncWrite, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::actions::ErrorTag;
use super::answer::{Answering, Kind};
use super::codec::{FrameError, Framing, Piece};
use super::element::FromElement;
use super::observe;
use super::reply;
use super::serve::{Came, Incoming, Outgoing};
use super::state::{Answer, Observed, State, Then, Waiting};
use crate::access::Stream;
use crate::domain::Outcome;
use crate::recording::Part;

/// One direction.
pub(super) struct Downlink<'s, W = WriteHalf<Box<dyn Stream>>> {
    state: &'s State<'s>,
    element: Incoming<FromElement>,
    client: Outgoing<W>,
    framing: Framing,
    message: Option<Answering<'s>>,
}

impl<'s, W: AsyncWrite + Unpin> Downlink<'s, W> {
    pub(super) fn new(
        state: &'s State<'s>,
        element: Incoming<FromElement>,
        client: Outgoing<W>,
        framing: Framing,
    ) -> Self {
        Self { state, element, client, framing, message: None }
    }

    /// Until the element is done, or the session.
    pub(super) async fn run(&mut self) -> Outcome {
        let mut quiet = Instant::now();
        loop {
            if self.message.is_none()
                && let Err(outcome) = self.answer().await
            {
                return outcome;
            }
            let awaited = self.message.is_some() || !self.state.waiting().is_empty();
            if !awaited {
                quiet = Instant::now();
            }
            let came = tokio::select! {
                came = self.element.next() => came,
                () = self.state.changed.notified(), if self.message.is_none() => continue,
                () = sleep_until(quiet + self.state.limits.reply_timeout), if awaited => {
                    return self.state.ends("the element did not answer in time", Outcome::ElementUnreachable);
                }
            };
            quiet = Instant::now();
            let taken = match came {
                Ok(Came::Piece(Piece::Data(data))) => self.data(&data).await,
                Ok(Came::Piece(Piece::End)) => self.end().await,
                Ok(Came::Closed) => return Outcome::ElementClosed,
                Err(error) => {
                    return self
                        .state
                        .ends(&format!("the element's message is refused: {error}"), Outcome::ProtocolError);
                }
            };
            if let Err(outcome) = taken {
                return outcome;
            }
        }
    }

    /// Sends the gateway's own answers whose turn it is.
    async fn answer(&mut self) -> Result<(), Outcome> {
        loop {
            let answer = {
                let mut waiting = self.state.waiting();
                match waiting.front() {
                    Some(Waiting::Answer(_)) => waiting.pop_front(),
                    Some(Waiting::Forwarded(_) | Waiting::Look(_)) | None => None,
                }
            };
            let Some(Waiting::Answer(Answer { number, head, what, status, body, .. })) = answer else { return Ok(()) };
            let mut exchange = self.state.exchange(number, Part::Reply, &what, &body);
            exchange.status = Some(status);
            exchange.peer_id = head.message_id;
            self.state.record(&exchange)?;
            let framed = self.client.framed(&[Piece::Data(body), Piece::End]).map_err(|_| Outcome::ProtocolError)?;
            self.state.session.count_out(framed.len());
            self.client.send(&framed).await?;
        }
    }

    async fn data(&mut self, data: &[u8]) -> Result<(), Outcome> {
        let message = self.message.get_or_insert_with(|| Answering::new(self.state));
        if let Err(text) = message.take(data)? {
            return Err(self.state.ends(&text, Outcome::ProtocolError));
        }
        self.state.session.report_denials().await;
        let Some(message) = &mut self.message else { return Ok(()) };
        match message.ready()? {
            Some(held) => self.forward(&[Piece::Data(held)]).await,
            None => Ok(()),
        }
    }

    async fn forward(&mut self, pieces: &[Piece]) -> Result<(), Outcome> {
        let framed =
            self.client.framed(pieces).map_err(|error| self.state.ends(&error.to_string(), Outcome::ProtocolError))?;
        self.state.session.count_out(framed.len());
        self.client.send(&framed).await
    }

    async fn end(&mut self) -> Result<(), Outcome> {
        let Some(message) = self.message.take() else {
            return Err(self.state.ends("the element sent an empty message", Outcome::ProtocolError));
        };
        let mut done = match message.finish()? {
            Ok(done) => done,
            Err(text) => return Err(self.state.ends(&text, Outcome::ProtocolError)),
        };
        match done.kind {
            Kind::Look { after, ref body } => self.looked(after, body.as_deref()),
            Kind::Dropped => Ok(()),
            Kind::Notification => self.forward(&[Piece::Data(std::mem::take(&mut done.rest)), Piece::End]).await,
            Kind::Reply(forwarded) => {
                let rest = std::mem::take(&mut done.rest);
                match self.client.framed(&[Piece::Data(rest), Piece::End]) {
                    Ok(framed) => {
                        self.state.session.count_out(framed.len());
                        self.client.send(&framed).await?;
                    }
                    // Nothing of it was sent: it can be answered in another way.
                    Err(FrameError::HoldsMarker) if !done.begun => {
                        self.client.start_over(self.framing);
                        let text = FrameError::HoldsMarker.to_string();
                        let body = reply::error(&forwarded.head, ErrorTag::OperationFailed, &text, None);
                        self.state.note(&text)?;
                        self.forward(&[Piece::Data(body.into()), Piece::End]).await?;
                    }
                    Err(error) => return Err(self.state.ends(&error.to_string(), Outcome::ProtocolError)),
                }
                let ok = done.status == "ok";
                match forwarded.then {
                    Then::Nothing => {}
                    Then::Close if ok => return Err(Outcome::ClientClosed),
                    Then::Close => {}
                    Then::Unstage(at) if ok => self.state.unstage(at),
                    Then::Unstage(_) => {}
                    Then::Changed(at) => {
                        if ok {
                            self.state.unstage(at);
                        }
                        let change = ok.then(|| (forwarded.number, forwarded.what.clone()));
                        self.state.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).change = change;
                    }
                }
                Ok(())
            }
        }
    }

    /// What a look saw: the first is kept, the second compared with it and recorded.
    fn looked(&self, after: bool, body: Option<&[u8]>) -> Result<(), Outcome> {
        let state = self.state;
        let seen = {
            let rules = state.visit.access().rules().current();
            match body {
                Some(body) => observe::seen(body, state.xml_limits(), rules.policy.models()),
                None => Err("it is longer than limits.netconf.observed_bytes_max".to_owned()),
            }
        };
        let mut observed = state.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !after {
            observed.before = Some(seen);
            return Ok(());
        }
        let Observed { before, change } = std::mem::take(&mut *observed);
        drop(observed);
        let (Some(before), Some((number, what))) = (before, change) else { return Ok(()) };
        let (text, status) = match (before, seen) {
            (Ok(before), Ok(after)) => {
                let (lines, count) = observe::difference(&before, &after);
                let more = count.saturating_sub(lines.len());
                let more = if more == 0 { String::new() } else { format!("\n... and {more} more") };
                (format!("{}{more}", lines.join("\n")), format!("{count} values differ"))
            }
            (Err(error), _) | (_, Err(error)) => (String::new(), format!("not compared: {error}")),
        };
        let mut exchange =
            state.exchange(number, Part::Observation, &format!("running configuration, {what}"), text.as_bytes());
        exchange.status = Some(status);
        state.record(&exchange)
    }
}
