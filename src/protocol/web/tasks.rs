//! What runs for one connection, so that nothing outlives it.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one connection. All end when it is over; [`Tasks::end`] waits for them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    running: TaskTracker,
    cut: CancellationToken,
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it is done or the connection is over.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.running.spawn(async move {
            tokio::select! {
                // What has come to its end is told so first.
                biased;
                () = task => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Waits until none is left.
    pub async fn done(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Drops those that are left, and waits until they are gone.
    pub async fn end(&self) {
        self.cut.cancel();
        self.done().await;
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
