//! The methods that are known: what each reads, and what its messages do. Pure.

use crate::domain::Action;

use super::path::View;
use super::refused::{Code, Refused};
use super::schema::{self, Schema};
use super::wire::Message;
use super::{actions, gnoi};

/// What a message does.
pub(super) type Decide = fn(&Method, &Message<'_>, &View<'_>) -> Result<Vec<Action>, Refused>;

/// A method of gNMI or gNOI.
#[derive(Debug)]
pub struct Method {
    /// As HTTP/2 has it: `/gnmi.gNMI/Set`.
    pub path: &'static str,
    /// Its name in recordings.
    pub name: &'static str,
    /// What clients send.
    pub request: &'static Schema,
    /// What elements answer.
    pub response: &'static Schema,
    works: Works,
}

/// How a method is called.
#[derive(Debug)]
enum Works {
    /// With one message.
    Once(Decide),
    /// With a message that is decided, and others that must not change what was.
    Streams(Decide, fn(&Message<'_>, &Message<'_>) -> Result<(), Refused>),
}

impl Method {
    /// A method of one request.
    pub(super) const fn once(
        path: &'static str,
        name: &'static str,
        request: &'static Schema,
        response: &'static Schema,
        decide: Decide,
    ) -> Self {
        Self { path, name, request, response, works: Works::Once(decide) }
    }

    /// A method of many; `later` is given the first and a later one.
    pub(super) const fn streams(
        path: &'static str,
        name: &'static str,
        request: &'static Schema,
        response: &'static Schema,
        decide: Decide,
        later: fn(&Message<'_>, &Message<'_>) -> Result<(), Refused>,
    ) -> Self {
        Self { path, name, request, response, works: Works::Streams(decide, later) }
    }

    /// Whether its answers are what a client follows, not the reply to a request.
    pub(super) fn follows(&self) -> bool {
        std::ptr::eq(self.response, &raw const schema::SUBSCRIBE_RESPONSE)
    }

    /// The method at this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        GNMI.iter().chain(gnoi::METHODS).find(|method| method.path == path)
    }

    /// Reads the first message of a call and tells what it does.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn decide(&self, message: &[u8], view: &View<'_>) -> Result<Vec<Action>, Refused> {
        let request = self.read(message)?;
        match self.works {
            Works::Once(decide) | Works::Streams(decide, _) => decide(self, &request, view),
        }
    }

    /// Judges a message that comes after the first.
    ///
    /// # Errors
    /// It would change what was decided, or it should not be there.
    pub fn later(&self, first: &[u8], message: &[u8]) -> Result<(), Refused> {
        let Works::Streams(_, later) = self.works else {
            return Err(Refused::invalid("the method takes one message"));
        };
        later(&self.read(first)?, &self.read(message)?)
    }

    fn read<'b>(&self, message: &'b [u8]) -> Result<Message<'b>, Refused> {
        Message::read(self.request, message).map_err(Refused::invalid)
    }
}

/// What a method that is not known gets.
pub fn unknown(path: &str) -> Refused {
    let shown: String = path.chars().take(120).flat_map(char::escape_debug).collect();
    Refused::new(
        Code::Unimplemented,
        format!("the gateway does not know `{shown}`, and what it does not know is not allowed"),
    )
}

static GNMI: &[Method] = &[
    Method::once(
        "/gnmi.gNMI/Capabilities",
        "gnmi.Capabilities",
        &schema::CAPABILITY_REQUEST,
        &schema::CAPABILITY_RESPONSE,
        |_, request, view| actions::capabilities(request, view),
    ),
    Method::once("/gnmi.gNMI/Get", "gnmi.Get", &schema::GET_REQUEST, &schema::GET_RESPONSE, |_, request, view| {
        actions::get(request, view)
    }),
    Method::once("/gnmi.gNMI/Set", "gnmi.Set", &schema::SET_REQUEST, &schema::SET_RESPONSE, |_, request, view| {
        actions::set(request, view)
    }),
    Method::streams(
        "/gnmi.gNMI/Subscribe",
        "gnmi.Subscribe",
        &schema::SUBSCRIBE_REQUEST,
        &schema::SUBSCRIBE_RESPONSE,
        |_, request, view| actions::subscribe(request, view),
        actions::subscribe_later,
    ),
];
