//! A bounded pool for work that fills a core, shared fairly among tenants.
//!
//! As many jobs run at once as there are workers. The others wait, and tenants take turns: a
//! tenant with a hundred waiting jobs holds up another tenant's one job by at most one job per
//! tenant. The queue is short, since a client that waits for seconds has given up; when it is
//! full, room for a tenant with few waiting jobs is made by refusing the newest of the tenant
//! that has the most.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::domain::TenantId;

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Argon2Pool {
    shared: Arc<Shared>,
}

/// The queue is full: try again in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much hashing is under way")]
pub struct Overloaded;

struct Shared {
    workers: usize,
    max_waiting: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    waiting: usize,
    refused: u64,
    by_tenant: HashMap<TenantId, VecDeque<oneshot::Sender<HashingPermit>>>,
    /// The tenants that have waiting jobs, the next one first.
    turns: VecDeque<TenantId>,
}

/// How much a pool has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// As many jobs run at once at most.
    pub workers: usize,
    /// Jobs that run now.
    pub running: usize,
    /// Jobs that wait for their turn now.
    pub waiting: usize,
    /// Jobs that were refused since the start, since the queue was full.
    pub refused: u64,
}

/// The right to run one job; given on to the next when dropped.
struct HashingPermit {
    shared: Arc<Shared>,
}

impl Argon2Pool {
    /// A pool of so many workers, and room for so many waiting jobs.
    #[must_use]
    pub fn new(workers: NonZeroUsize, max_waiting: usize) -> Self {
        Self { shared: Arc::new(Shared { workers: workers.get(), max_waiting, queue: Mutex::default() }) }
    }

    /// How much it has to do now.
    #[must_use]
    pub fn load(&self) -> Load {
        let Queue { running, waiting, refused, .. } = *self.shared.queue();
        Load { workers: self.shared.workers, running, waiting, refused }
    }

    /// Runs a job on a thread of the blocking pool when it is the tenant's turn.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let turn = self.turn(tenant).await?;
        #[allow(clippy::disallowed_methods, reason = "bounded by the turn")]
        let job = tokio::task::spawn_blocking(move || {
            // The turn goes with the job: if the caller goes away, the core is still in use.
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

    async fn turn(&self, tenant: TenantId) -> Result<HashingPermit, Overloaded> {
        let waiter = {
            let mut queue = self.shared.queue();
            if queue.running < self.shared.workers {
                queue.running += 1;
                return Ok(HashingPermit { shared: self.shared.clone() });
            }
            queue.enqueue(tenant, self.shared.max_waiting)?
        };
        // An error is a waiter that was refused later, to make room.
        waiter.await.map_err(|_| Overloaded)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn enqueue(
        &mut self,
        tenant: TenantId,
        max_waiting: usize,
    ) -> Result<oneshot::Receiver<HashingPermit>, Overloaded> {
        if self.waiting >= max_waiting {
            // This one, or the one that makes room for it.
            self.refused += 1;
            let own = self.by_tenant.get(&tenant).map_or(0, VecDeque::len);
            let (_, longest) = self
                .by_tenant
                .iter_mut()
                .map(|(_, waiters)| (waiters.len(), waiters))
                .max_by_key(|(length, _)| *length)
                .filter(|(length, _)| *length > own + 1)
                .ok_or(Overloaded)?;
            drop(longest.pop_back());
            self.waiting -= 1;
        }
        let (sender, receiver) = oneshot::channel();
        let waiters = self.by_tenant.entry(tenant).or_default();
        if waiters.is_empty() {
            self.turns.push_back(tenant);
        }
        waiters.push_back(sender);
        self.waiting += 1;
        Ok(receiver)
    }

    fn next(&mut self) -> Option<oneshot::Sender<HashingPermit>> {
        let tenant = self.turns.pop_front()?;
        let waiters = self.by_tenant.get_mut(&tenant)?;
        let next = waiters.pop_front()?;
        self.waiting -= 1;
        if waiters.is_empty() {
            self.by_tenant.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(next)
    }
}

impl Drop for HashingPermit {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut queue = self.shared.queue();
                let next = queue.next();
                if next.is_none() {
                    queue.running -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(HashingPermit { shared: self.shared.clone() }) {
                Ok(()) => return,
                // Nobody waits for it any more; this turn goes on to the one behind, without
                // that turn's own drop doing the same.
                Err(turn) => std::mem::forget(turn),
            }
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

    fn pool(max_waiting: usize) -> Argon2Pool {
        Argon2Pool::new(NonZeroUsize::MIN, max_waiting)
    }

    /// Occupies the one worker until the sender is dropped.
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

    /// Queues a job that notes its tenant when it runs.
    async fn queue(
        pool: &Argon2Pool,
        n: u128,
        log: &Arc<Mutex<Vec<u128>>>,
    ) -> tokio::task::JoinHandle<Result<(), Overloaded>> {
        let waiting = pool.shared.queue().waiting;
        let (for_task, log) = (pool.clone(), log.clone());
        let task = tokio::spawn(async move { for_task.run(tenant(n), move || log.lock().unwrap().push(n)).await });
        while !task.is_finished() && pool.shared.queue().waiting == waiting {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn tenants_take_turns() {
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
    async fn a_full_queue_refuses_the_greediest() {
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
        assert_eq!(greedy.pop().unwrap().await.unwrap(), Err(Overloaded), "makes room for the modest one");
        assert_eq!(pool.load(), Load { workers: 1, running: 1, waiting: 3, refused: 2 });
        drop(worker);
        assert_eq!(modest.await.unwrap(), Ok(()));
        for task in greedy {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(pool.load(), Load { workers: 1, running: 0, waiting: 0, refused: 2 });
    }

    #[tokio::test]
    async fn waiters_that_left_are_passed_over() {
        let (pool, log) = (pool(10), Arc::default());
        let worker = occupy(&pool).await;
        let gone = queue(&pool, 1, &log).await;
        let stays = queue(&pool, 2, &log).await;
        gone.abort();
        let _ = gone.await;
        drop(worker);
        assert_eq!(stays.await.unwrap(), Ok(()));
        while pool.shared.queue().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(tenant(3), || 7).await, Ok(7), "no turn was lost");
    }
}
