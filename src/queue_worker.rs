//! The worker of a queue: it handles the items one after the other. An item that failed is retried later, and does not delay
//! the others.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until, timeout_at},
};

/// The delay of a retry doubles from the first to the second.
const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// With so many items to be retried, no further ones are taken from the queue.
const MAX_FAILED: usize = 64;
/// Between attempts at the end of the process.
const LAST_DELAY: Duration = Duration::from_millis(200);

pub(crate) trait Handler<T> {
    /// Returns the item if it is to be retried.
    fn handle(&mut self, item: T) -> impl Future<Output = Option<T>> + Send;

    /// The process ends, and so many items are lost.
    fn lost(&mut self, items: usize);
}

/// An item, with what the next failure needs.
struct Attempt<T> {
    item: T,
    due: Instant,
    delay: Duration,
}

/// Handles items until `stop` resolves, then those that wait, until the deadline to which it resolves.
pub(crate) async fn run<T>(mut queue: Receiver<T>, mut handler: impl Handler<T>, stop: impl Future<Output = Instant>) {
    let mut stop = std::pin::pin!(stop);
    let mut failed = Failed::default();
    let deadline = loop {
        let has_room = failed.0.len() < MAX_FAILED;
        let next = async {
            // In a random order: neither keeps the other waiting.
            tokio::select! {
                (item, delay) = failed.next() => (item, delay),
                Some(item) = queue.recv(), if has_room => (item, DELAYS.0),
            }
        };
        let (item, delay) = tokio::select! {
            biased;
            deadline = &mut stop => break deadline,
            next = next => next,
        };
        let (again, deadline) = {
            let mut handling = std::pin::pin!(handler.handle(item));
            tokio::select! {
                again = &mut handling => (Ok(again), None),
                // A transaction is not dropped half-way.
                deadline = &mut stop => (timeout_at(deadline, &mut handling).await, Some(deadline)),
            }
        };
        match again {
            Ok(again) => failed.add(again, delay),
            Err(_) => handler.lost(1),
        }
        if let Some(deadline) = deadline {
            break deadline;
        }
    };
    queue.close();
    let mut left = VecDeque::new();
    while let Ok(item) = queue.try_recv() {
        left.push_back(item);
    }
    left.extend(failed.0.into_iter().map(|attempt| attempt.item));
    while let Some(item) = left.pop_front() {
        match timeout_at(deadline, handler.handle(item)).await {
            Ok(None) => {}
            Ok(Some(item)) => {
                left.push_back(item);
                sleep_until(deadline.min(Instant::now() + LAST_DELAY)).await;
            }
            Err(_) => return handler.lost(left.len() + 1),
        }
    }
}

struct Failed<T>(Vec<Attempt<T>>);

impl<T> Default for Failed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Failed<T> {
    fn add(&mut self, item: Option<T>, delay: Duration) {
        self.0.extend(item.map(|item| Attempt { item, due: Instant::now() + delay, delay }));
    }

    /// The item that is due first, at its time, with the delay after its next failure. Never resolves if there is none.
    async fn next(&mut self) -> (T, Duration) {
        let first = self.0.iter().enumerate().min_by_key(|(_, attempt)| attempt.due);
        let Some((place, due)) = first.map(|(place, attempt)| (place, attempt.due)) else {
            return std::future::pending().await;
        };
        sleep_until(due).await;
        let Attempt { item, delay, .. } = self.0.swap_remove(place);
        (item, (2 * delay).min(DELAYS.1))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use tokio::{
        sync::{mpsc, oneshot},
        time::sleep,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<(HashMap<u32, usize>, usize)>>);

    /// Odd items fail each time, and take a while.
    impl Handler<u32> for Log {
        async fn handle(&mut self, item: u32) -> Option<u32> {
            *self.0.lock().unwrap().0.entry(item).or_default() += 1;
            if item.is_multiple_of(2) {
                return None;
            }
            sleep(Duration::from_millis(50)).await;
            Some(item)
        }

        fn lost(&mut self, items: usize) {
            self.0.lock().unwrap().1 += items;
        }
    }

    impl Log {
        fn attempts(&self, item: u32) -> usize {
            self.0.lock().unwrap().0.get(&item).copied().unwrap_or_default()
        }

        fn lost_items(&self) -> usize {
            self.0.lock().unwrap().1
        }
    }

    #[tokio::test]
    async fn items_that_fail_are_retried_and_delay_no_others() {
        let (log, (sender, queue), (stop, stopped)) = (Log::default(), mpsc::channel(200), oneshot::channel());
        let worker = tokio::spawn(run(queue, log.clone(), async { stopped.await.unwrap() }));
        for item in (0..20).flat_map(|n| [2 * n + 1, 2 * n]) {
            sender.send(item).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while log.attempts(38) == 0 || log.attempts(1) < 2 {
            assert!(Instant::now() < deadline);
            sleep(Duration::from_millis(10)).await;
        }
        // Those that were handled are not handled again, and those that failed do not come before new ones.
        assert!((0..20).all(|n| log.attempts(2 * n) == 1));
        sender.send(100).await.unwrap();
        stop.send(Instant::now() + Duration::from_millis(500)).unwrap();
        worker.await.unwrap();
        assert_eq!((log.attempts(100), log.lost_items()), (1, 20));
        assert!(sender.send(102).await.is_err(), "the queue is closed");
    }
}
