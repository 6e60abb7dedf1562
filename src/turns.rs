//! Turns: something that tenants share, such as connections, cores or memory, is used by a bounded number of jobs at
//! once, and tenants take turns.
//!
//! A tenant with a hundred waiting jobs delays the one job of another tenant by at most one job per tenant, and never
//! uses more than its share at once. The queue is bounded, since a client that waits for seconds has given up. If it is
//! full, a tenant with few waiting jobs displaces the newest job of the tenant that has the most.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::domain::TenantId;

/// The queue is full. Retry in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many jobs of this kind are under way")]
pub struct Overloaded;

/// How many jobs run and wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Jobs that run at once.
    pub(crate) at_once: usize,
    /// Jobs of one tenant that run at once.
    pub(crate) at_once_per_tenant: usize,
    /// Jobs that wait.
    pub(crate) queued: usize,
}

/// The number of jobs, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) at_once: usize,
    pub(crate) running: usize,
    pub(crate) queued: usize,
    /// Since the start.
    pub(crate) refused: u64,
}

/// Clones share the turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    limits: Limits,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    queued: usize,
    refused: u64,
    /// Tenants with jobs that run or wait.
    tenants: HashMap<TenantId, Jobs>,
    /// Tenants with jobs that wait; the first that may run one more has the next turn.
    order: VecDeque<TenantId>,
}

#[derive(Default)]
struct Jobs {
    running: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to run one job. Dropped, it is handed over to the next job.
pub(crate) struct Turn {
    tenant: TenantId,
    /// `None`: it was taken back.
    shared: Option<Arc<Shared>>,
}

impl Turns {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, queue: Mutex::default() }))
    }

    pub(crate) fn load(&self) -> Load {
        let Queue { running, queued, refused, .. } = *self.0.queue();
        Load { at_once: self.0.limits.at_once, running, queued, refused }
    }

    /// Waits for the tenant's turn. May be dropped at any time. Its place in the queue is then skipped.
    pub(crate) async fn take(&self, tenant: TenantId) -> Result<Turn, Overloaded> {
        let granted = {
            let mut queue = self.0.queue();
            if queue.begin(tenant, &self.0.limits) {
                return Ok(self.turn(tenant));
            }
            queue.wait(tenant, &self.0.limits)?
        };
        // An error: another tenant's job displaced this one.
        granted.await.map_err(|_| Overloaded)
    }

    /// A turn, if the tenant need not wait for it.
    pub(crate) fn try_take(&self, tenant: TenantId) -> Option<Turn> {
        let begun = self.0.queue().begin(tenant, &self.0.limits);
        begun.then(|| self.turn(tenant))
    }

    fn turn(&self, tenant: TenantId) -> Turn {
        Turn { tenant, shared: Some(self.0.clone()) }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a job of the tenant and begins the next. Jobs whose caller is gone are skipped.
    fn hand_over(self: Arc<Self>, mut tenant: TenantId) {
        loop {
            let next = {
                let mut queue = self.queue();
                queue.end(tenant);
                queue.begin_next(&self.limits)
            };
            let Some((next, job)) = next else { return };
            match job.send(Turn { tenant: next, shared: Some(self.clone()) }) {
                Ok(()) => return,
                Err(mut returned) => returned.shared = None,
            }
            tenant = next;
        }
    }
}

impl Queue {
    /// Begins a job of the tenant, unless it has to wait. No job waits that could run, so none is overtaken.
    fn begin(&mut self, tenant: TenantId, limits: &Limits) -> bool {
        let own = self.tenants.get(&tenant).map_or(0, |jobs| jobs.running);
        let begins = self.running < limits.at_once && own < limits.at_once_per_tenant;
        if begins {
            self.running += 1;
            self.tenants.entry(tenant).or_default().running += 1;
        }
        begins
    }

    fn wait(&mut self, tenant: TenantId, limits: &Limits) -> Result<oneshot::Receiver<Turn>, Overloaded> {
        if self.queued >= limits.queued {
            self.make_room(tenant)?;
        }
        let (sender, receiver) = oneshot::channel();
        let jobs = self.tenants.entry(tenant).or_default();
        if jobs.waiting.is_empty() {
            self.order.push_back(tenant);
        }
        jobs.waiting.push_back(sender);
        self.queued += 1;
        Ok(receiver)
    }

    /// Removes a job that nobody waits for, or the newest one of the tenant that has the most.
    fn make_room(&mut self, tenant: TenantId) -> Result<(), Overloaded> {
        for jobs in self.tenants.values_mut() {
            jobs.waiting.retain(|job| !job.is_closed());
        }
        let length = |jobs: &Jobs| jobs.waiting.len();
        let waiting = self.tenants.values().map(length).sum();
        if waiting == self.queued {
            // Either this job is refused, or the one that it displaces.
            self.refused += 1;
            let own = self.tenants.get(&tenant).map_or(0, length);
            let longest = self.tenants.values_mut().max_by_key(|jobs| length(jobs));
            let longest = longest.filter(|jobs| length(jobs) > own + 1).ok_or(Overloaded)?;
            drop(longest.waiting.pop_back());
            self.queued -= 1;
        } else {
            self.queued = waiting;
            self.tenants.retain(|_, jobs| jobs.running > 0 || !jobs.waiting.is_empty());
            self.order.retain(|tenant| self.tenants.get(tenant).is_some_and(|jobs| !jobs.waiting.is_empty()));
        }
        Ok(())
    }

    fn end(&mut self, tenant: TenantId) {
        self.running -= 1;
        if let Some(jobs) = self.tenants.get_mut(&tenant) {
            jobs.running -= 1;
            if jobs.running == 0 && jobs.waiting.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
    }

    fn begin_next(&mut self, limits: &Limits) -> Option<(TenantId, oneshot::Sender<Turn>)> {
        let may_run =
            |tenant: &TenantId| self.tenants.get(tenant).is_some_and(|jobs| jobs.running < limits.at_once_per_tenant);
        let next = self.order.iter().position(may_run)?;
        let tenant = self.order.remove(next)?;
        let jobs = self.tenants.get_mut(&tenant)?;
        let job = jobs.waiting.pop_front()?;
        jobs.running += 1;
        self.running += 1;
        self.queued -= 1;
        if !jobs.waiting.is_empty() {
            self.order.push_back(tenant);
        }
        Some((tenant, job))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.hand_over(self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;
    use tokio::task::JoinHandle;
    use uuid::Uuid;

    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    fn turns(at_once: usize, at_once_per_tenant: usize, queued: usize) -> Turns {
        Turns::new(Limits { at_once, at_once_per_tenant, queued })
    }

    /// Queues a job that logs its tenant when it runs.
    async fn queue(turns: &Turns, n: u128, log: &Arc<Mutex<Vec<u128>>>) -> JoinHandle<Result<(), Overloaded>> {
        let queued = turns.load().queued;
        let (of_task, log) = (turns.clone(), log.clone());
        let task = tokio::spawn(async move {
            let _turn = of_task.take(tenant(n)).await?;
            log.lock().unwrap().push(n);
            Ok(())
        });
        while !task.is_finished() && turns.load().queued == queued {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn waiting_tenants_take_turns() {
        let (turns, log) = (turns(1, 1, 10), Arc::default());
        let held = turns.take(tenant(0)).await.unwrap();
        let mut tasks = Vec::new();
        for n in [1, 1, 1, 1, 2, 3, 2] {
            tasks.push(queue(&turns, n, &log).await);
        }
        drop(held);
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(*log.lock().unwrap(), [1, 2, 3, 1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn a_tenant_that_has_its_share_waits_while_another_runs() {
        let turns = turns(3, 2, 10);
        let held = [turns.take(tenant(1)).await.unwrap(), turns.take(tenant(1)).await.unwrap()];
        let mut third = Box::pin(turns.take(tenant(1)));
        assert!(third.as_mut().now_or_never().is_none());
        let others = turns.take(tenant(2)).now_or_never().expect("no wait").unwrap();
        drop(others);
        assert!(third.as_mut().now_or_never().is_none(), "another tenant's turn is no turn of this one");
        drop(held);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_tenant_with_the_most_jobs() {
        let (turns, log) = (turns(1, 1, 3), Arc::default());
        let held = turns.take(tenant(0)).await.unwrap();
        let mut greedy = Vec::new();
        for _ in 0..3 {
            greedy.push(queue(&turns, 1, &log).await);
        }
        assert_eq!(turns.take(tenant(1)).await.err(), Some(Overloaded), "its own queue is the longest");
        let modest = {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take(tenant(2)).await.map(drop) })
        };
        assert_eq!(greedy.pop().unwrap().await.unwrap(), Err(Overloaded), "displaced by the other tenant");
        assert_eq!(turns.load(), Load { at_once: 1, running: 1, queued: 3, refused: 2 });
        drop(held);
        assert_eq!(modest.await.unwrap(), Ok(()));
        for task in greedy {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
        assert_eq!(turns.load(), Load { at_once: 1, running: 0, queued: 0, refused: 2 });
    }

    #[tokio::test]
    async fn jobs_whose_caller_is_gone_are_skipped_and_give_their_place_away() {
        let turns = turns(1, 1, 2);
        let held = turns.take(tenant(0)).await.unwrap();
        let mut gone = [Box::pin(turns.take(tenant(1))), Box::pin(turns.take(tenant(2)))];
        for job in &mut gone {
            assert!(job.as_mut().now_or_never().is_none());
        }
        drop(gone);
        let mut stays = Box::pin(turns.take(tenant(3)));
        assert!(stays.as_mut().now_or_never().is_none());
        assert_eq!(turns.load(), Load { at_once: 1, running: 1, queued: 1, refused: 0 });
        drop(held);
        assert!(stays.now_or_never().expect("its turn").is_ok());
        assert_eq!(turns.load(), Load { at_once: 1, running: 0, queued: 0, refused: 0 });
    }

    #[tokio::test]
    async fn a_turn_whose_waiting_jobs_are_all_gone_is_free() {
        let turns = turns(1, 1, 10);
        let held = turns.take(tenant(0)).await.unwrap();
        for n in [1, 1, 2] {
            assert!(turns.take(tenant(n)).now_or_never().is_none());
        }
        drop(held);
        assert_eq!(turns.load(), Load { at_once: 1, running: 0, queued: 0, refused: 0 });
        assert!(turns.try_take(tenant(3)).is_some());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Take(u128),
        EndRunning(usize),
        GiveUp(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..4_u128).prop_map(Step::Take),
            2 => (0..8_usize).prop_map(Step::EndRunning),
            1 => (0..8_usize).prop_map(Step::GiveUp),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: limits hold, no job waits that could run, and nothing is lost.
        #[test]
        fn limits_hold_and_no_job_waits_in_vain(steps in proptest::collection::vec(step(), 0..80)) {
            let turns = turns(3, 2, 5);
            let (mut running, mut waiting) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Take(n) => waiting.push((n, turns.take(tenant(n)).boxed())),
                    Step::EndRunning(index) if index < running.len() => drop(running.swap_remove(index)),
                    Step::GiveUp(index) if index < waiting.len() => drop(waiting.swap_remove(index)),
                    Step::EndRunning(_) | Step::GiveUp(_) => {}
                }
                // Twice: the newest job may displace an older one.
                for _ in 0..2 {
                    waiting.retain_mut(|(n, job)| match job.as_mut().now_or_never() {
                        None => true,
                        Some(outcome) => {
                            running.extend(outcome.ok().map(|turn| (*n, turn)));
                            false
                        }
                    });
                }
                let running_of = |n| running.iter().filter(|(of, _)| *of == n).count();
                prop_assert_eq!(turns.load().running, running.len());
                prop_assert!(running.len() <= 3 && waiting.len() <= 5);
                for n in 0..4 {
                    prop_assert!(running_of(n) <= 2);
                    let could_run = running.len() < 3 && running_of(n) < 2;
                    prop_assert!(!could_run || waiting.iter().all(|(of, _)| *of != n), "{} waits in vain", n);
                }
            }
            drop((running, waiting));
            prop_assert_eq!((turns.load().running, turns.load().queued), (0, 0));
            prop_assert!(turns.0.queue().tenants.is_empty() && turns.0.queue().order.is_empty());
        }
    }
}
