//! The messages of a body, taken as they come: a piece is asked for when the last message has gone on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Buf, Bytes, Incoming};
use hyper::header::HeaderMap;

use super::codec::{FrameError, Framed, Framer};
use super::refused::{Code, Refused};

/// What comes out of a body.
#[derive(Debug)]
pub(super) enum Item {
    /// A message.
    Message(Framed),
    /// What follows the last message.
    Trailers(HeaderMap),
}

/// Why no more messages come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessagesError {
    /// The peer reset the stream, or its connection is gone.
    #[error("the stream broke off: {0}")]
    Broken(String),
    /// Calls of the connection hold more than they may together.
    #[error("the calls of this connection hold too many bytes that are no whole messages yet")]
    Crowded,
    /// It is not a stream of messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl MessagesError {
    /// As the client of the call is told.
    pub(super) fn refused(&self, of_element: bool) -> Refused {
        match self {
            Self::Broken(_) if of_element => Refused::new(Code::Unavailable, "the element broke the call off"),
            Self::Broken(_) => Refused::new(Code::InvalidArgument, self.to_string()),
            Self::Crowded | Self::Frame(FrameError::TooLong { .. }) => {
                Refused::new(Code::ResourceExhausted, self.to_string())
            }
            Self::Frame(FrameError::Compressed) if !of_element => Refused::new(Code::Unimplemented, self.to_string()),
            Self::Frame(error) if of_element => Refused::new(Code::Internal, format!("the element: {error}")),
            Self::Frame(error) => Refused::new(Code::InvalidArgument, error.to_string()),
        }
    }
}

/// How many bytes of messages that are not whole the calls of one connection hold, and may.
#[derive(Debug)]
pub(super) struct Room {
    held: AtomicUsize,
    max: usize,
}

impl Room {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), max })
    }
}

/// The messages of one body.
#[derive(Debug)]
pub(super) struct Messages {
    body: Incoming,
    framer: Framer,
    piece: Bytes,
    room: Arc<Room>,
    holds: usize,
    over: bool,
}

impl Messages {
    pub(super) fn new(body: Incoming, bytes_max: usize, room: Arc<Room>) -> Self {
        Self { body, framer: Framer::new(bytes_max), piece: Bytes::new(), room, holds: 0, over: false }
    }

    /// The next item; none when the body is over.
    pub(super) async fn next(&mut self) -> Option<Result<Item, MessagesError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, MessagesError>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let mut rest = &*self.piece;
            let taken = self.framer.take(&mut rest);
            let used = self.piece.len() - rest.len();
            self.piece.advance(used);
            match taken {
                Ok(Some(message)) => {
                    self.let_go();
                    return Poll::Ready(Some(Ok(Item::Message(message))));
                }
                Ok(None) => {
                    if let Err(error) = self.hold(used) {
                        return Poll::Ready(Some(Err(self.end(error))));
                    }
                }
                Err(error) => return Poll::Ready(Some(Err(self.end(error.into())))),
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let error = MessagesError::Broken(error.to_string());
                    return Poll::Ready(Some(Err(self.end(error))));
                }
                None => return Poll::Ready(self.finish().err().map(Err)),
            };
            match frame.into_data() {
                Ok(piece) => self.piece = piece,
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    return Poll::Ready(Some(self.finish().map(|()| Item::Trailers(trailers))));
                }
            }
        }
    }

    fn finish(&mut self) -> Result<(), MessagesError> {
        self.over = true;
        self.framer.finish().map_err(|error| self.end(error.into()))
    }

    fn end(&mut self, error: MessagesError) -> MessagesError {
        self.over = true;
        self.let_go();
        error
    }

    fn hold(&mut self, more: usize) -> Result<(), MessagesError> {
        self.holds += more;
        let before = self.room.held.fetch_add(more, Ordering::Relaxed);
        if before + more > self.room.max { Err(MessagesError::Crowded) } else { Ok(()) }
    }

    fn let_go(&mut self) {
        self.room.held.fetch_sub(std::mem::take(&mut self.holds), Ordering::Relaxed);
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.let_go();
    }
}
