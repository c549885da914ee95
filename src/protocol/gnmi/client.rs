//! A small client, for `sallyport gnmi`: calls over a connection that is there.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::codec::Framed;
use super::messages::{Item, Messages, Room};
use super::method::Method;
use super::refused::name;
use crate::access::Stream;
use crate::protocol::web::Tasks;

/// The longest answer.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Characters of a status' text that are kept.
const TEXT_CHARS_MAX: usize = 2_000;

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection broke, or does not speak gRPC.
    #[error("{0}")]
    Broken(String),
    /// The call ended with a status that is not OK.
    #[error("{}: {text}", name(*code).unwrap_or("UNKNOWN"))]
    Status {
        /// Its number.
        code: usize,
        /// What it says.
        text: String,
    },
}

/// A connection for calls.
#[derive(Debug)]
pub struct Client {
    send: SendRequest<Sending>,
    authority: String,
    tasks: Tasks,
}

impl Client {
    /// Begins HTTP/2 on `stream`. `authority` is the name that TLS was told.
    ///
    /// # Errors
    /// The other side does not speak it.
    pub async fn over(stream: impl Stream, authority: &str) -> Result<Self, CallError> {
        let tasks = Tasks::new();
        let mut builder = Builder::new(tasks.clone());
        builder.timer(TokioTimer::new());
        let (send, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tasks.spawn(async move {
            // Whatever broke it, the call says so.
            connection.await.ok();
        });
        Ok(Self { send, authority: authority.to_owned(), tasks })
    }

    /// Calls `method` with one request. With `stays` nothing says that there will be no other.
    ///
    /// # Errors
    /// It could not be sent, or no answer began.
    pub async fn call(&mut self, method: &Method, request: &[u8], stays: bool) -> Result<Answers, CallError> {
        let framed = Framed::around(request).ok_or_else(|| CallError::Broken("the request is too long".to_owned()))?;
        let body = Sending { first: Some(Bytes::from(framed.into_bytes())), stays };
        let request = Request::post(format!("https://{}{}", self.authority, method.path))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(body)
            .map_err(|error| CallError::Broken(error.to_string()))?;
        let (head, body) = self.send.send_request(request).await.map_err(broken)?.into_parts();
        let grpc = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if !grpc {
            return Err(CallError::Broken(format!("the answer is no gRPC: HTTP status {}", head.status.as_u16())));
        }
        let ended = head.headers.contains_key("grpc-status").then(|| status(&head.headers));
        Ok(Answers { messages: Messages::new(body, MESSAGE_BYTES_MAX, Room::new(MESSAGE_BYTES_MAX)), ended })
    }

    /// Gives the connection up.
    pub async fn end(self) {
        drop(self.send);
        self.tasks.end().await;
    }
}

fn broken(error: hyper::Error) -> CallError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    CallError::Broken(text)
}

/// What is answered, message by message.
#[derive(Debug)]
pub struct Answers {
    messages: Messages,
    ended: Option<Result<(), CallError>>,
}

impl Answers {
    /// The next message; none when the call ended well.
    ///
    /// # Errors
    /// It ended otherwise.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        if let Some(ended) = self.ended.take() {
            return ended.map(|()| None);
        }
        match self.messages.next().await {
            Some(Ok(Item::Message(message))) => Ok(Some(message.message().to_vec())),
            Some(Ok(Item::Trailers(trailers))) => status(&trailers).map(|()| None),
            Some(Err(error)) => Err(CallError::Broken(error.to_string())),
            None => Err(CallError::Broken("the call ended without a status".to_owned())),
        }
    }
}

fn status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name: &str| headers.get(name).map(|value| percent_decoded(value.as_bytes()));
    match text("grpc-status").and_then(|code| code.parse().ok()) {
        Some(0) => Ok(()),
        Some(code) => Err(CallError::Status { code, text: text("grpc-message").unwrap_or_default() }),
        None => Err(CallError::Broken("the call ended without a status".to_owned())),
    }
}

/// The text of a status (gRPC over HTTP/2, "Percent-Encoded"); what is not encoded well is taken as it is.
fn percent_decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let encoded = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let digits = encoded.and_then(|digits| data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok());
        match digits.as_deref() {
            Some([decoded]) => {
                bytes.push(*decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).chars().take(TEXT_CHARS_MAX).collect()
}

/// A request's body: one message, and then an end or nothing.
#[derive(Debug)]
struct Sending {
    first: Option<Bytes>,
    stays: bool,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            // Who calls the call off ends it; nobody needs to be woken.
            None if self.stays => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && !self.stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let headers = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        assert_eq!(status(&headers(&[("grpc-status", "0")])), Ok(()));
        let denied = status(&headers(&[("grpc-status", "7"), ("grpc-message", "no, 100%25 sure%21 %zz %")]));
        assert_eq!(denied, Err(CallError::Status { code: 7, text: "no, 100% sure! %zz %".to_owned() }));
        assert_eq!(denied.unwrap_err().to_string(), "PERMISSION_DENIED: no, 100% sure! %zz %");
        for bad in [&[][..], &[("grpc-status", "x")], &[("grpc-status", "-1")]] {
            assert!(matches!(status(&headers(bad)), Err(CallError::Broken(_))), "{bad:?}");
        }
    }
}
