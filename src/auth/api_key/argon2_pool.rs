//! A bounded pool for argon2. Tenants take turns.

use std::num::NonZeroUsize;

use crate::{
    domain::TenantId,
    turns::{Limits, Load, Overloaded, Turns},
};

/// Clones share the pool.
#[derive(Clone)]
pub(super) struct Argon2Pool(Turns);

impl Argon2Pool {
    pub(super) fn new(workers: NonZeroUsize, max_queued: usize) -> Self {
        // A tenant may use every worker: a hash takes some 20 ms, so another tenant has one soon.
        let workers = workers.get();
        Self(Turns::new(Limits { at_once: workers, at_once_per_tenant: workers, queued: max_queued }))
    }

    pub(super) fn load(&self) -> Load {
        self.0.load()
    }

    /// Runs a job on a thread of tokio's blocking pool when it is the tenant's turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let turn = self.0.take(tenant).await?;
        #[allow(clippy::disallowed_methods, reason = "bounded by the turn")]
        let job = tokio::task::spawn_blocking(move || {
            // The turn lives as long as the job: if the caller is dropped, the core is still in use.
            let _turn = turn;
            job()
        });
        match job.await {
            Ok(outcome) => Ok(outcome),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(Overloaded), // the runtime is shutting down
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_job_that_panics_hands_its_worker_over() {
        let pool = Argon2Pool::new(NonZeroUsize::MIN, 10);
        let (started, running) = oneshot::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let of_task = pool.clone();
        let panics = tokio::spawn(async move {
            of_task
                .run(tenant(1), move || {
                    let _ = started.send(());
                    let _ = may_finish.recv();
                    panic!("on purpose")
                })
                .await
        });
        running.await.unwrap();
        let of_task = pool.clone();
        let next = tokio::spawn(async move { of_task.run(tenant(2), || 7).await });
        while pool.load().queued == 0 {
            tokio::task::yield_now().await;
        }
        drop(finish);
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(next.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_job_whose_caller_is_gone_keeps_its_worker_until_it_ends() {
        let pool = Argon2Pool::new(NonZeroUsize::MIN, 10);
        let (started, running) = oneshot::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let of_task = pool.clone();
        let caller = tokio::spawn(async move {
            of_task
                .run(tenant(1), move || {
                    let _ = started.send(());
                    let _ = may_finish.recv();
                })
                .await
        });
        running.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert_eq!(pool.load().running, 1);
        drop(finish);
        while pool.load().running > 0 {
            tokio::task::yield_now().await;
        }
    }
}
