//! WebSockets (RFC 6455): a request that leaves HTTP/1.1, where policy says so.
//!
//! The handshake is written anew, without extensions; what follows is carried as bytes. A page of another origin cannot open one with the
//! certificate of the person who looks at it.

use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use hyper::header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode, Version};
use hyper_util::rt::TokioIo;

use super::actions::{Asked, asked};
use super::failure::{Failed, Failure, failed};
use super::serve::Serving;
use crate::access::{Refusal, Service};
use crate::domain::{Action, Outcome, Verb};
use crate::protocol::web::headers::single;
use crate::protocol::web::{self, Allowed, Body, Request, Response, authority_of};

/// What goes to the element beside the headers of every request.
const HANDSHAKE: &[HeaderName] = &[SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_PROTOCOL];

/// Whether a request asks for a WebSocket. One that does so in part, or for something else, goes on without asking for it.
pub(super) fn is_websocket(head: &Parts) -> bool {
    let is = |name: &HeaderName, fits: fn(&str) -> bool| single(&head.headers, name).is_ok_and(|v| v.is_some_and(fits));
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && is(&UPGRADE, |text| text.eq_ignore_ascii_case("websocket"))
        && is(&CONNECTION, |text| text.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")))
        && is(&SEC_WEBSOCKET_VERSION, |text| text == "13")
        && is(&SEC_WEBSOCKET_KEY, |text| text.len() == 24 && text.bytes().all(|b| b.is_ascii_graphic()))
}

/// SECURITY: browsers send the person's certificate with whatever page asks, and tell which page it was.
fn is_own_origin(head: &Parts) -> bool {
    match single(&head.headers, &ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => {
            let own = authority_of(head).map(|authority| format!("https://{authority}"));
            own.is_some_and(|own| own.eq_ignore_ascii_case(origin))
        }
        Err(_) => false,
    }
}

impl Serving {
    /// Answers a request for a WebSocket; what follows runs until it is over.
    pub(super) async fn upgrade(&self, mut request: Request) -> Result<Response, Failure> {
        let mut asked = asked("GET", request.head.uri.path(), request.head.uri.query())?;
        asked.action = Action::new(Verb::HttpUpgrade, asked.action.object);
        if !is_own_origin(&request.head) {
            return Err(Failure::new(403, "a WebSocket is opened by pages of its own origin"));
        }
        let what = format!("GET {} upgrade websocket", asked.url());
        let mut allowed = Allowed::ask(&self.visit, request.channel, vec![asked.action.clone()], what, None).await?;
        let switched = self.switch(&mut allowed, &mut request, &asked).await;
        let (answer, client, element) = match switched {
            Ok(switched) => switched,
            Err((failure, outcome)) => {
                allowed.failed(&failure.status.to_string(), outcome);
                return Err(failure);
            }
        };
        let in_use = request.leave_http();
        let within = self.visit.access().limits().http.answer_timeout;
        request.tasks.spawn(async move {
            // Both have left HTTP when this resolves; whoever does not in time is cut off.
            let both = async { tokio::try_join!(client, element) };
            if let Ok(Ok((client, element))) = tokio::time::timeout(within, both).await {
                allowed.tunnel(TokioIo::new(client), TokioIo::new(element)).await;
            }
            drop(in_use);
        });
        Ok(answer)
    }

    async fn switch(
        &self,
        allowed: &mut Allowed,
        request: &mut Request,
        asked: &Asked,
    ) -> Result<(Response, OnUpgrade, OnUpgrade), Failed> {
        let unreachable = || failed(Refusal::Unavailable(Outcome::ElementUnreachable));
        let rules = self.visit.access().rules().current();
        let element = rules.inventory.find(self.visit.element()).cloned().ok_or_else(unreachable)?;
        let service = element.service(Service::Https).ok_or_else(unreachable)?;
        if service.api.is_some() || service.restconf.as_deref().is_some_and(|root| asked.is_below(root)) {
            let why = "neither RESTCONF nor an API that is held to its document has WebSockets";
            return Err(failed(self.visit.forbid(request.channel, &asked.action, why).await));
        }
        let Some(client) = request.head.extensions.remove::<OnUpgrade>() else {
            return Err((Failure::new(400, "this connection cannot leave HTTP"), Outcome::ProtocolError));
        };
        allowed.requested(b"").map_err(failed)?;
        let towards = web::request_of(&request.head, &asked.url(), Body::full(""), HANDSHAKE);
        let mut towards = towards.map_err(|text| (Failure::new(400, text), Outcome::ProtocolError))?;
        leaving(towards.headers_mut());
        if request.head.headers.contains_key(ORIGIN) {
            let origin = format!("https://{}", service.server_name.to_str());
            let origin = HeaderValue::from_str(&origin).map_err(|_| unreachable())?;
            towards.headers_mut().insert(ORIGIN, origin);
        }
        let mut stop = allowed.stopped();
        let grant = allowed.grant().map_err(failed)?;
        let sent = tokio::select! {
            outcome = &mut stop => return Err(failed(Refusal::Unavailable(outcome))),
            sent = self.upstream.switch(grant, &element, towards) => sent.map_err(|error| self.unanswered(error))?,
        };
        let refuses = || (Failure::new(502, "the element does not open a WebSocket"), Outcome::ElementClosed);
        if sent.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refuses());
        }
        let mut answer = Response::new(Body::full(""));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        leaving(answer.headers_mut());
        for name in [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL] {
            if let Some(value) = sent.headers().get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        allowed.switched().map_err(failed)?;
        Ok((answer, client, hyper::upgrade::on(sent)))
    }
}

fn leaving(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri("/a").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    const GOOD: &[(&str, &str)] = &[
        ("host", "r1.gw.example:8443"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn what_asks_for_a_websocket() {
        assert!(is_websocket(&head("GET", Version::HTTP_11, GOOD)));
        assert!(!is_websocket(&head("POST", Version::HTTP_11, GOOD)));
        assert!(!is_websocket(&head("GET", Version::HTTP_2, GOOD)));
        for (at, (name, value)) in [
            (1, ("upgrade", "h2c")),
            (1, ("upgrade", "websocket, h2c")),
            (2, ("connection", "keep-alive")),
            (2, ("connection", "upgraded")),
            (3, ("sec-websocket-version", "8")),
            (4, ("sec-websocket-key", "short")),
            (4, ("x-key", "dGhlIHNhbXBsZSBub25jZQ==")),
        ] {
            let mut headers = GOOD.to_vec();
            headers[at] = (name, value);
            assert!(!is_websocket(&head("GET", Version::HTTP_11, &headers)), "{name}: {value}");
        }
        let twice = [GOOD, &[("upgrade", "websocket")]].concat();
        assert!(!is_websocket(&head("GET", Version::HTTP_11, &twice)));
    }

    #[test]
    fn whose_page_may_open_one() {
        let own = |origins: &[&str]| {
            let more: Vec<(&str, &str)> = origins.iter().map(|origin| ("origin", *origin)).collect();
            is_own_origin(&head("GET", Version::HTTP_11, &[GOOD, &more].concat()))
        };
        assert!(own(&[]) && own(&["https://r1.gw.example:8443"]) && own(&["https://R1.gw.example:8443"]));
        for origin in [
            "",
            "null",
            "https://r1.gw.example",
            "http://r1.gw.example:8443",
            "https://evil.example",
            "https://r1.gw.example:8443.evil",
        ] {
            assert!(!own(&[origin]), "{origin}");
        }
        assert!(!own(&["https://r1.gw.example:8443", "https://evil.example"]));
    }
}
