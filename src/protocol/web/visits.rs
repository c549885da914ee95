//! The visits of one connection: one for each service that was used on it.

use std::fmt;
use std::sync::Arc;

use hyper::http::request::Parts;
use tokio::sync::{OnceCell, mpsc};

use super::service::{Conversation, Service};
use crate::access::{Access, Refusal, Verified, Visit};
use crate::domain::{ElementName, Outcome};

/// The services of a connection, and what each has begun.
pub(super) struct Visits {
    access: Arc<Access>,
    verified: Arc<Verified>,
    element: ElementName,
    services: Vec<Served>,
    begun: mpsc::Sender<Arc<Visit>>,
}

/// A service, as it is used on this connection.
pub(super) struct Served {
    service: &'static dyn Service,
    begun: OnceCell<(Arc<Visit>, Arc<dyn Conversation>)>,
}

impl fmt::Debug for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visits").field("element", &self.element).finish_non_exhaustive()
    }
}

impl Visits {
    /// None yet. Each visit is told to the receiver when it begins.
    pub(super) fn new(
        access: Arc<Access>,
        verified: Arc<Verified>,
        element: ElementName,
        services: &[&'static dyn Service],
    ) -> (Self, mpsc::Receiver<Arc<Visit>>) {
        let services: Vec<_> =
            services.iter().map(|service| Served { service: *service, begun: OnceCell::new() }).collect();
        let (begun, told) = mpsc::channel(services.len().max(1));
        (Self { access, verified, element, services, begun }, told)
    }

    /// The service that takes a request.
    pub(super) fn of(&self, head: &Parts) -> Option<&Served> {
        self.services.iter().find(|served| served.service.takes(head))
    }

    /// What a service has begun here; begins it at the first request.
    ///
    /// # Errors
    /// The visit could not be made.
    pub(super) async fn conversation(&self, served: &Served) -> Result<Arc<dyn Conversation>, Refusal> {
        let begin = || async {
            let account = {
                let rules = self.access.rules().current();
                match rules.inventory.find(&self.element) {
                    Some(element) => Some(element.default_account().clone()),
                    // SECURITY: one that does not exist is refused later, and like any other.
                    None => self.verified.identity().name().parse().ok(),
                }
            };
            let account = account.ok_or(Refusal::Unavailable(Outcome::ProtocolError))?;
            let (access, verified) = (self.access.clone(), self.verified.clone());
            let visit = Visit::new(access, verified, self.element.clone(), account, served.service.name());
            let over = |_| Refusal::Unavailable(Outcome::ClientClosed);
            self.begun.send(visit.clone()).await.map_err(over)?;
            let conversation = served.service.begin(visit.clone());
            Ok((visit, conversation))
        };
        served.begun.get_or_try_init(begin).await.map(|(_, conversation)| conversation.clone())
    }

    /// Tells every session to end.
    pub(super) async fn stop(&self, outcome: Outcome) {
        for (visit, _) in self.services.iter().filter_map(|served| served.begun.get()) {
            if let Some(session) = visit.session().await {
                session.stop().request(outcome);
            }
        }
    }

    /// Ends and seals everything.
    pub(super) async fn close(&self, outcome: Outcome) {
        for (visit, conversation) in self.services.iter().filter_map(|served| served.begun.get()) {
            conversation.end().await;
            visit.close(outcome).await;
        }
    }
}
