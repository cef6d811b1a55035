//! Tasks that live no longer than the registry: dropping it ends them, as a crash would.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::JoinSet;

/// The owner of the tasks.
#[derive(Debug, Default)]
pub struct Tasks(Arc<Mutex<JoinSet<()>>>);

/// Starts tasks as long as their owner lives.
#[derive(Clone, Debug)]
pub struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl Tasks {
    /// A way to start tasks.
    pub fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

impl Spawner {
    /// Starts a task; false when the owner is gone.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(tasks) = self.0.upgrade() else {
            return false;
        };
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended ones would otherwise be kept until the end.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
        true
    }
}
