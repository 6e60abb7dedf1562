//! The callers of one secret: who used it since that was last written.

use std::{mem, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Client, MAX_USER_AGENT_CHARS};
use crate::{
    domain::{Secret, Timestamp},
    store::{LastUse, SecretCaller},
};

/// Callers that are told apart between two writes. The others are counted together.
pub(super) const MAX_CALLERS: usize = 8;
/// How long callers wait after a write of callers of the same secret. It bounds how many new ones a client can make up by
/// changing its `User-Agent`.
const INTERVAL: Duration = Duration::from_secs(30);

/// Which callers a write takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum TakeCallers {
    /// Those that are due at that time.
    Due(Instant),
    /// All, at that time.
    All(Instant),
}

/// The latest caller, and those before it that are not written.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// It stays when it is written, since it is most likely the next one too.
    latest: Option<Caller>,
    /// Boxed, since most secrets have one caller.
    earlier: Option<Box<EarlierCallers>>,
    denied_use: Option<Box<LastUse>>,
    written: Option<Instant>,
    /// The writer knows when the next write is due.
    due_is_scheduled: bool,
}

#[derive(Debug, Default)]
struct EarlierCallers {
    known: Vec<(Caller, OwnedSemaphorePermit)>,
    others: Option<Caller>,
}

#[derive(Debug)]
struct Caller {
    hash: u32,
    address: Option<IpAddr>,
    user_agent: Option<Box<str>>,
    /// Of `requests`.
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    /// Not written.
    requests: i64,
}

impl Caller {
    fn new(client: Client<'_>, hash: u32, at: Timestamp) -> Self {
        let (address, user_agent) = (client.address, client.shortened_user_agent());
        Self { hash, address, user_agent, first_seen_at: at, last_seen_at: at, requests: 0 }
    }

    fn count(&mut self, requests: i64, first_seen_at: Timestamp, last_seen_at: Timestamp) {
        self.first_seen_at = if self.requests == 0 { first_seen_at } else { self.first_seen_at.min(first_seen_at) };
        self.last_seen_at = self.last_seen_at.max(last_seen_at);
        self.requests += requests;
    }

    fn take(&mut self) -> SecretCaller {
        SecretCaller {
            address: self.address,
            user_agent: self.user_agent.clone(),
            first_seen_at: self.first_seen_at,
            last_seen_at: self.last_seen_at,
            requests: mem::take(&mut self.requests),
        }
    }
}

impl EarlierCallers {
    /// Callers that find no place are counted together.
    fn keep(&mut self, caller: Caller, spare: &Arc<Semaphore>) {
        let has_place = self.known.len() + 1 < MAX_CALLERS;
        if has_place && let Ok(permit) = spare.clone().try_acquire_owned() {
            self.known.push((caller, permit));
            return;
        }
        let Caller { first_seen_at, last_seen_at, requests, .. } = caller;
        let others = self.others.get_or_insert_with(|| Caller::new(Client::default(), 0, first_seen_at));
        others.count(requests, first_seen_at, last_seen_at);
    }

    fn remove(&mut self, hash: u32) -> Option<Caller> {
        let place = self.known.iter().position(|(caller, _)| caller.hash == hash)?;
        Some(self.known.swap_remove(place).0)
    }
}

impl Callers {
    /// Counts requests of the latest caller. `used_at` is the time of the last one; `None`: it is recorded already.
    pub(super) fn count_latest(&mut self, requests: u32, used_at: Option<Timestamp>) {
        if let Some(latest) = &mut self.latest {
            let at = used_at.unwrap_or(latest.last_seen_at);
            latest.count(requests.into(), at, at);
        }
    }

    /// Counts a request of a caller, which is then the latest.
    pub(super) fn change_to(&mut self, client: Client<'_>, hash: u32, at: Timestamp, spare: &Arc<Semaphore>) {
        let mut latest = match self.latest.take() {
            Some(latest) if latest.hash == hash => latest,
            previous => {
                let known = self.earlier.as_mut().and_then(|earlier| earlier.remove(hash));
                if let Some(previous) = previous.filter(|previous| previous.requests > 0) {
                    self.earlier.get_or_insert_default().keep(previous, spare);
                }
                known.unwrap_or_else(|| Caller::new(client, hash, at))
            }
        };
        latest.count(1, at, at);
        self.latest = Some(latest);
    }

    /// Sets the last use by a request that was denied.
    pub(super) fn set_denied_use(&mut self, at: Timestamp, client: Client<'_>) {
        if self.denied_use.as_ref().is_none_or(|denied| denied.at <= at) {
            let (address, user_agent) = (client.address, client.shortened_user_agent());
            self.denied_use = Some(Box::new(LastUse { at, address, user_agent }));
        }
    }

    /// The last use, by the latest caller at that time or by a request that was denied.
    pub(super) fn take_last_use(&mut self, used_at: Option<Timestamp>) -> Option<LastUse> {
        let used = used_at.zip(self.latest.as_ref()).map(|(at, caller)| LastUse {
            at,
            address: caller.address,
            user_agent: caller.user_agent.clone(),
        });
        let denied = self.denied_use.take().map(|denied| *denied);
        used.into_iter().chain(denied).max_by_key(|last_use| last_use.at)
    }

    /// Takes the callers that have requests, if they are due. Returns when they are due, if that is not scheduled yet.
    pub(super) fn take(&mut self, which: TakeCallers, keep: impl FnMut(SecretCaller)) -> Option<Instant> {
        let has_any = self.earlier.is_some() || self.latest.as_ref().is_some_and(|latest| latest.requests > 0);
        let now = match which {
            TakeCallers::Due(now) => {
                let due = self.written.map_or(now, |written| written + INTERVAL);
                if now < due {
                    return (has_any && !mem::replace(&mut self.due_is_scheduled, true)).then_some(due);
                }
                now
            }
            TakeCallers::All(now) => {
                self.due_is_scheduled = false;
                now
            }
        };
        if has_any {
            self.written = Some(now);
            self.take_all(keep);
        }
        None
    }

    fn take_all(&mut self, mut keep: impl FnMut(SecretCaller)) {
        let EarlierCallers { known, others } = self.earlier.take().map(|earlier| *earlier).unwrap_or_default();
        for mut caller in known.into_iter().map(|(caller, _)| caller).chain(others) {
            keep(caller.take());
        }
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.requests > 0) {
            keep(latest.take());
        }
    }
}

/// The first characters of a `User-Agent`, without control characters, and without a secret that has strayed into it.
pub(super) fn shorten(user_agent: &[u8]) -> Box<str> {
    let text: String = String::from_utf8_lossy(user_agent).chars().filter(|c| !c.is_control()).collect();
    if text.contains(Secret::PREFIX) {
        return "[redacted]".into();
    }
    text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_shortened_and_holds_no_secret() {
        assert_eq!(&*shorten("é".repeat(300).as_bytes()), "é".repeat(200));
        assert_eq!(&*shorten(b"a\0b\x1bc\xff"), "abc\u{fffd}");
        assert_eq!(&*shorten(b"curl rk_live_0123"), "[redacted]");
        assert_eq!(&*shorten(b"rk_li\tve_0123"), "[redacted]");
    }
}
