//! Both directions of a call. Each takes the next message when the other side has room for it, and there is no queue between: that is back-pressure,
//! end to end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming};
use tokio::time::{Instant, Sleep};

use super::call::{Call, Open};
use super::head::{passed_back, status_of, trailers};
use super::messages::{Item, Messages, MessagesError};
use super::refused::{Code, Refused};
use crate::access::BoxFuture;
use crate::domain::Outcome;
use crate::protocol::web::BodyError;

/// From the client to the element.
pub(super) struct Uplink {
    call: Arc<Call>,
    first: Option<Bytes>,
    messages: Messages,
    cut: BoxFuture<'static, ()>,
}

impl Uplink {
    /// The first message, which was decided and recorded, and those that follow it.
    pub(super) fn new(call: Arc<Call>, messages: Messages) -> Self {
        Self { first: Some(call.first()), cut: call.cut(), call, messages }
    }

    fn refuse(&self, refused: Refused) -> BodyError {
        let text = refused.text.clone();
        self.call.refuse(refused);
        text.into()
    }
}

impl Body for Uplink {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the call is over".into())));
        }
        loop {
            return match std::task::ready!(self.messages.poll_next(cx)) {
                Some(Ok(Item::Message(message))) => match self.call.later(message.message()) {
                    Ok(()) => Poll::Ready(Some(Ok(Frame::data(message.into_bytes().into())))),
                    Err(refused) => Poll::Ready(Some(Err(self.refuse(refused)))),
                },
                // A client of gRPC sends none.
                Some(Ok(Item::Trailers(_))) => continue,
                Some(Err(MessagesError::Broken(text))) => Poll::Ready(Some(Err(text.into()))),
                Some(Err(error)) => Poll::Ready(Some(Err(self.refuse(error.refused(false))))),
                None => Poll::Ready(None),
            };
        }
    }
}

/// From the element to the client.
pub(super) struct Downlink {
    open: Open,
    messages: Option<Messages>,
    stopped: BoxFuture<'static, Outcome>,
    cut: BoxFuture<'static, ()>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Downlink {
    pub(super) fn new(open: Open, messages: Messages, deadline: Option<Instant>) -> Self {
        let (stopped, cut) = (open.stopped(), open.call.cut());
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self { open, messages: Some(messages), stopped, cut, deadline }
    }

    /// Why the gateway must end the call now, if it must.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<(Outcome, Refused)> {
        if let Poll::Ready(outcome) = self.stopped.as_mut().poll(cx) {
            return Poll::Ready((outcome, self.open.told(outcome)));
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready((Outcome::ProtocolError, self.open.call.why()));
        }
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready((Outcome::ClientClosed, late()));
        }
        Poll::Pending
    }

    /// The last frame, of the gateway's own.
    fn refuse(&mut self, refused: &Refused, outcome: Outcome) -> Frame<Bytes> {
        // Dropping what is left of the answer resets the stream of the element.
        self.messages = None;
        self.open.refuse(refused, outcome);
        Frame::trailers(trailers(refused))
    }
}

impl Body for Downlink {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.messages.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready((outcome, refused)) = this.poll_end(cx) {
            return Poll::Ready(Some(Ok(this.refuse(&refused, outcome))));
        }
        let Some(messages) = &mut this.messages else { return Poll::Ready(None) };
        let frame = match std::task::ready!(messages.poll_next(cx)) {
            Some(Ok(Item::Message(message))) => match this.open.call.answered(message.message()) {
                Ok(()) => Frame::data(message.into_bytes().into()),
                Err(refused) => this.refuse(&refused, Outcome::RecorderFailed),
            },
            Some(Ok(Item::Trailers(trailers))) => {
                this.messages = None;
                this.open.end(status_of(&trailers), Outcome::ElementClosed);
                Frame::trailers(passed_back(trailers))
            }
            Some(Err(error)) => this.refuse(&error.refused(true), Outcome::ElementClosed),
            None => {
                let refused = Refused::new(Code::Internal, "the element ended the call without a status");
                this.refuse(&refused, Outcome::ElementClosed)
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// The client's deadline has passed.
pub(super) fn late() -> Refused {
    Refused::new(Code::DeadlineExceeded, "the deadline of the call has passed")
}

/// The body of an element's answer.
pub(super) type Answer = hyper::Response<Incoming>;
