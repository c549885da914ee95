//! A request to stop, made once and seen by everybody who waits for it.

use tokio::sync::watch;

use crate::domain::Outcome;

/// Stops a session or one channel of it. Clones share it; the first outcome stays.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Outcome>>);

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Asks; later outcomes are ignored.
    pub fn request(&self, outcome: Outcome) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(outcome);
            first
        });
    }

    /// What was asked for so far.
    pub fn requested(&self) -> Option<Outcome> {
        *self.0.borrow()
    }

    /// Waits until somebody asks. Cancel safe.
    pub async fn stopped(&self) -> Outcome {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await.map(|v| *v) {
            Ok(Some(outcome)) => outcome,
            // `self` holds the sender, so the channel cannot be closed; waiting for ever is what "nobody asked" means.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
