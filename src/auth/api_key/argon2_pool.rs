//! A bounded pool for argon2, shared fairly among tenants.
//!
//! At most `workers` jobs run at once. The others are queued, and tenants take turns: a tenant with a hundred queued
//! jobs delays the one job of another tenant by at most one job per tenant. The queue is short, since a client that
//! waits for seconds has given up. If it is full, a tenant with few queued jobs displaces the newest job of the tenant
//! that has the most.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::{auth::error::Overloaded, domain::TenantId};

/// Clones share the pool.
#[derive(Clone)]
pub(super) struct Argon2Pool {
    shared: Arc<Shared>,
}

struct Shared {
    workers: usize,
    max_queued: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    queued: usize,
    refused: u64,
    by_tenant: HashMap<TenantId, VecDeque<oneshot::Sender<HashingPermit>>>,
    /// The tenants with queued jobs; the first has the next turn.
    turns: VecDeque<TenantId>,
}

/// The state of a pool, for its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) workers: usize,
    pub(crate) running: usize,
    pub(crate) queued: usize,
    /// Since the start.
    pub(crate) refused: u64,
}

/// The right to run one job. Dropped, it is handed over to the next queued job.
struct HashingPermit {
    /// `None`: it was handed over, or its worker is idle.
    shared: Option<Arc<Shared>>,
}

impl Argon2Pool {
    pub(super) fn new(workers: NonZeroUsize, max_queued: usize) -> Self {
        Self { shared: Arc::new(Shared { workers: workers.get(), max_queued, queue: Mutex::default() }) }
    }

    pub(super) fn load(&self) -> Load {
        let Queue { running, queued, refused, .. } = *self.shared.queue();
        Load { workers: self.shared.workers, running, queued, refused }
    }

    /// Runs a job on a thread of tokio's blocking pool when it is the tenant's turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let permit = self.acquire(tenant).await?;
        #[allow(clippy::disallowed_methods, reason = "bounded by the permit")]
        let job = tokio::task::spawn_blocking(move || {
            // The permit lives as long as the job: if the caller is dropped, the core is still in use.
            let _permit = permit;
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

    async fn acquire(&self, tenant: TenantId) -> Result<HashingPermit, Overloaded> {
        let queued = {
            let mut queue = self.shared.queue();
            if queue.running < self.shared.workers {
                queue.running += 1;
                return Ok(HashingPermit { shared: Some(self.shared.clone()) });
            }
            queue.push(tenant, self.shared.max_queued)?
        };
        // An error: another tenant's job displaced this one.
        queued.await.map_err(|_| Overloaded)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a worker that has become free over to the next queued job. Jobs whose caller is gone are skipped.
    fn hand_over(self: Arc<Self>) {
        let mut permit = HashingPermit { shared: Some(self.clone()) };
        while let Some(next) = self.next_or_idle() {
            match next.send(permit) {
                Ok(()) => return,
                Err(returned) => permit = returned,
            }
        }
        permit.shared = None;
    }

    /// The next queued job, for a worker that has become free. `None`: there is none, and the worker counts as idle.
    fn next_or_idle(&self) -> Option<oneshot::Sender<HashingPermit>> {
        let mut queue = self.queue();
        let next = queue.pop();
        if next.is_none() {
            queue.running -= 1;
        }
        next
    }
}

impl Queue {
    fn push(&mut self, tenant: TenantId, max_queued: usize) -> Result<oneshot::Receiver<HashingPermit>, Overloaded> {
        if self.queued >= max_queued {
            // Either this job is refused, or the one that it displaces.
            self.refused += 1;
            let own = self.by_tenant.get(&tenant).map_or(0, VecDeque::len);
            let (_, longest) = self
                .by_tenant
                .iter_mut()
                .map(|(_, jobs)| (jobs.len(), jobs))
                .max_by_key(|(length, _)| *length)
                .filter(|(length, _)| *length > own + 1)
                .ok_or(Overloaded)?;
            drop(longest.pop_back());
            self.queued -= 1;
        }
        let (sender, receiver) = oneshot::channel();
        let jobs = self.by_tenant.entry(tenant).or_default();
        if jobs.is_empty() {
            self.turns.push_back(tenant);
        }
        jobs.push_back(sender);
        self.queued += 1;
        Ok(receiver)
    }

    fn pop(&mut self) -> Option<oneshot::Sender<HashingPermit>> {
        let tenant = self.turns.pop_front()?;
        let jobs = self.by_tenant.get_mut(&tenant)?;
        let next = jobs.pop_front()?;
        self.queued -= 1;
        if jobs.is_empty() {
            self.by_tenant.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(next)
    }
}

impl Drop for HashingPermit {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.hand_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    fn pool(max_queued: usize) -> Argon2Pool {
        Argon2Pool::new(NonZeroUsize::MIN, max_queued)
    }

    /// Occupies the only worker until the sender is dropped.
    async fn occupy(pool: &Argon2Pool) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            pool.run(tenant(0), move || {
                let _ = started.send(());
                let _ = held.recv();
            })
            .await
        });
        running.await.unwrap();
        release
    }

    /// Queues a job that logs its tenant when it runs.
    async fn queue(
        pool: &Argon2Pool,
        n: u128,
        log: &Arc<Mutex<Vec<u128>>>,
    ) -> tokio::task::JoinHandle<Result<(), Overloaded>> {
        let queued = pool.load().queued;
        let (for_task, log) = (pool.clone(), log.clone());
        let task = tokio::spawn(async move { for_task.run(tenant(n), move || log.lock().unwrap().push(n)).await });
        while !task.is_finished() && pool.load().queued == queued {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn queued_tenants_take_turns() {
        let (pool, log) = (pool(10), Arc::default());
        let worker = occupy(&pool).await;
        let mut tasks = Vec::new();
        for n in [1, 1, 1, 1, 2, 3, 2] {
            tasks.push(queue(&pool, n, &log).await);
        }
        drop(worker);
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(*log.lock().unwrap(), [1, 2, 3, 1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_tenant_with_the_most_jobs() {
        let (pool, log) = (pool(3), Arc::default());
        let worker = occupy(&pool).await;
        let mut greedy = Vec::new();
        for _ in 0..3 {
            greedy.push(queue(&pool, 1, &log).await);
        }
        assert_eq!(pool.run(tenant(1), || ()).await, Err(Overloaded), "its own queue is the longest");
        let (for_task, for_log) = (pool.clone(), Arc::clone(&log));
        let modest =
            tokio::spawn(async move { for_task.run(tenant(2), move || for_log.lock().unwrap().push(2)).await });
        assert_eq!(greedy.pop().unwrap().await.unwrap(), Err(Overloaded), "displaced by the other tenant");
        assert_eq!(pool.load(), Load { workers: 1, running: 1, queued: 3, refused: 2 });
        drop(worker);
        assert_eq!(modest.await.unwrap(), Ok(()));
        for task in greedy {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(pool.load(), Load { workers: 1, running: 0, queued: 0, refused: 2 });
    }

    #[tokio::test]
    async fn a_permit_skips_jobs_whose_caller_is_gone() {
        let (pool, log) = (pool(10), Arc::default());
        let worker = occupy(&pool).await;
        let gone = queue(&pool, 1, &log).await;
        let stays = queue(&pool, 2, &log).await;
        gone.abort();
        let _ = gone.await;
        drop(worker);
        assert_eq!(stays.await.unwrap(), Ok(()));
        while pool.load().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(tenant(3), || 7).await, Ok(7), "the worker was not lost");
    }
    #[tokio::test]
    async fn a_permit_whose_jobs_are_all_gone_leaves_the_worker_idle() {
        let (pool, log) = (pool(10), Arc::default());
        let worker = occupy(&pool).await;
        for n in [1, 1, 2] {
            let gone = queue(&pool, n, &log).await;
            gone.abort();
            let _ = gone.await;
        }
        drop(worker);
        while pool.load().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.load(), Load { workers: 1, running: 0, queued: 0, refused: 0 });
        assert_eq!(pool.run(tenant(3), || 7).await, Ok(7));
        assert_eq!(*log.lock().unwrap(), []);
    }

    #[tokio::test]
    async fn a_job_that_panics_hands_its_permit_over() {
        let (pool, log) = (pool(10), Arc::default());
        let worker = occupy(&pool).await;
        let pool_of_task = pool.clone();
        let panics = tokio::spawn(async move { pool_of_task.run(tenant(1), || panic!("on purpose")).await });
        while pool.load().queued == 0 {
            tokio::task::yield_now().await;
        }
        let next = queue(&pool, 2, &log).await;
        drop(worker);
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(next.await.unwrap(), Ok(()));
    }
}
