//! Work that failed and is tried again later, after other work.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until};

const INTERVAL: Duration = Duration::from_secs(1);
/// With so much of it, its owner takes no further work.
const MAX: usize = 64;

/// Each item with the time of its next attempt, the next one first.
pub(crate) struct Retries<T>(VecDeque<(Instant, T)>);

impl<T> Default for Retries<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Retries<T> {
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < MAX
    }

    pub(crate) fn add(&mut self, item: Option<T>) {
        self.0.extend(item.map(|item| (Instant::now() + INTERVAL, item)));
    }

    /// The next one, at its time. Never resolves if there is none.
    pub(crate) async fn next(&mut self) -> T {
        let Some((at, _)) = self.0.front() else { return std::future::pending().await };
        sleep_until(*at).await;
        match self.0.pop_front() {
            Some((_, item)) => item,
            None => std::future::pending().await,
        }
    }

    /// All, whatever their time.
    pub(crate) fn into_items(self) -> VecDeque<T> {
        self.0.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_item_comes_back_after_the_interval_and_the_oldest_comes_first() {
        let mut retries = Retries::default();
        let nothing = timeout(Duration::from_millis(10), retries.next()).await;
        assert!(nothing.is_err(), "there is none");
        retries.add(Some(1));
        retries.add(None);
        retries.add(Some(2));
        let added = Instant::now();
        assert_eq!(retries.next().await, 1);
        assert!(added.elapsed() > INTERVAL / 2);
        assert_eq!(retries.into_items(), [2]);
    }
}
