//! What goes on: a request towards an element, and what it answered towards the client.

use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION};
use hyper::http::request;
use hyper::http::response::Parts;
use hyper::{Method, Request};

use super::authority::authority_of;
use super::body::Body;
use super::headers::{single, towards_client, towards_element};
use super::location::{Places, rewritten};
use super::upstream::Sent;
use crate::access::{Element, Service};

/// Where the element and the gateway have the same thing: empty, or a path without a `/` at its end.
#[derive(Debug, Clone, Copy)]
pub struct Roots<'r> {
    /// On the element.
    pub element: &'r str,
    /// For clients.
    pub own: &'r str,
}

/// The request as it goes to the element: written anew, with the headers that pass, and `more`.
///
/// # Errors
/// `url` is none.
pub fn request_of(head: &request::Parts, url: &str, body: Body, more: &[HeaderName]) -> Result<Request<Body>, String> {
    let builder = Request::builder().method(head.method.clone()).uri(url);
    let mut request = builder.body(body).map_err(|e| e.to_string())?;
    *request.headers_mut() = towards_element(&head.headers, more);
    Ok(request)
}

/// The status and headers of an answer, as far as they go on to the client.
///
/// # Errors
/// Why the gateway answers 502 in the element's place.
pub fn answer_of(
    head: &request::Parts,
    element: &Element,
    roots: Roots<'_>,
    sent: &Sent,
) -> Result<Parts, &'static str> {
    let status = sent.answer.status();
    if matches!(status.as_u16(), 401 | 407) {
        return Err("the element does not accept the gateway's credential");
    }
    if status.is_informational() {
        return Err("the element answered with something that is no answer");
    }
    let headers = sent.answer.headers();
    let (mut answer, ()) = hyper::Response::new(()).into_parts();
    answer.status = status;
    answer.headers = towards_client(headers);
    if head.method == Method::HEAD
        && let Some(length) = headers.get(CONTENT_LENGTH)
    {
        answer.headers.insert(CONTENT_LENGTH, length.clone());
    }
    let location = single(headers, &LOCATION).unwrap_or_default();
    let hosts = hosts_of(element);
    let places = Places {
        element_hosts: &hosts,
        element_root: roots.element,
        own_root: roots.own,
        authority: authority_of(head).unwrap_or_default(),
    };
    match location.map(|location| rewritten(location, &places)) {
        Some(Some(location)) => {
            let value = HeaderValue::from_str(&location).map_err(|_| "the element names no location")?;
            answer.headers.insert(LOCATION, value);
        }
        // SECURITY: a client must not be led past the gateway.
        Some(None) if status.is_redirection() => return Err("the element redirects elsewhere"),
        Some(None) | None => {}
    }
    Ok(answer)
}

/// The names under which the element may speak of itself.
fn hosts_of(element: &Element) -> Vec<String> {
    let Some(service) = element.service(Service::Https) else { return Vec::new() };
    let own = service.server_name.to_str().into_owned();
    service.addresses.iter().map(|address| address.host.clone()).chain([own]).collect()
}
