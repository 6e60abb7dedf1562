//! What one secret was used for since that was last written. Each remembered secret has a tally; a use
//! touches a few numbers of it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
};

use chrono::DateTime;

use super::{Client, Denied, MAX_USER_AGENT_CHARS};
use crate::{
    domain::{ApiKeyId, LookupDigest, Secret, TenantId, Timestamp},
    store::{LastClient, LastUse, UsageNote},
};

const SECONDS_PER_HOUR: i64 = 60 * 60;

/// Has a tally within itself: whoever looks at what is known of a secret is near its tally already.
pub trait Tallied: fmt::Debug + Send + Sync + 'static {
    /// The tally.
    fn tally(&self) -> &Tally;
}

impl Tallied for Tally {
    fn tally(&self) -> &Tally {
        self
    }
}

/// What a secret was used for.
#[derive(Debug)]
pub struct Tally {
    pub(super) tenant: TenantId,
    key: ApiKeyId,
    lookup_digest: LookupDigest,
    /// The newest hour in which it was used, since 1970.
    hour: AtomicU32,
    /// Of that hour and the one before, by whether their numbers are even or odd: figures are taken
    /// long before the next of a kind.
    counts: [HourTally; 2],
    last_used_micros: AtomicI64,
    /// The hash of the client in `last`; 0 = there is none. So that a client which comes again and
    /// again is not written down again and again.
    last_client: AtomicU32,
    last: Mutex<Option<Arc<LastClient>>>,
    /// Whether it is in the channel, or was collected and its figures not taken yet.
    noted: AtomicBool,
    /// In which hour a use after its end was last told.
    reuse_told: AtomicU32,
}

#[derive(Debug, Default)]
struct HourTally {
    requests: AtomicU32,
    expired: AtomicU32,
    scope: AtomicU32,
}

impl Tally {
    /// Of a secret that was not used yet.
    #[must_use]
    pub fn new(tenant: TenantId, key: ApiKeyId, lookup_digest: LookupDigest) -> Self {
        Self {
            tenant,
            key,
            lookup_digest,
            hour: AtomicU32::new(0),
            counts: Default::default(),
            last_used_micros: AtomicI64::new(i64::MIN),
            last_client: AtomicU32::new(0),
            last: Mutex::default(),
            noted: AtomicBool::new(false),
            reuse_told: AtomicU32::new(0),
        }
    }

    /// Whose key's secret it is.
    #[must_use]
    pub const fn key(&self) -> ApiKeyId {
        self.key
    }

    /// Which secret it is.
    #[must_use]
    pub const fn lookup_digest(&self) -> LookupDigest {
        self.lookup_digest
    }

    /// Counts a request that was let in, by a client of that hash, which is not 0.
    pub(super) fn used(&self, at: Timestamp, client: Client<'_>, hash: u32) {
        self.counts_at(at).requests.fetch_add(1, Ordering::SeqCst);
        if self.last_client.load(Ordering::Relaxed) != hash {
            self.set_client(client, hash);
        }
        // Behind its client: whoever takes the time finds who it was.
        self.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::SeqCst);
    }

    fn set_client(&self, client: Client<'_>, hash: u32) {
        // Without a User-Agent: an empty one.
        let user_agent = shorten(client.user_agent().unwrap_or_default());
        let client = Arc::new(LastClient { hash, address: client.address, user_agent });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(client);
        self.last_client.store(hash, Ordering::Relaxed);
    }

    /// Counts that one was refused.
    pub(super) fn denied(&self, at: Timestamp, why: Denied) {
        let counts = self.counts_at(at);
        match why {
            Denied::Expired => {
                counts.requests.fetch_add(1, Ordering::SeqCst);
                counts.expired.fetch_add(1, Ordering::SeqCst);
            }
            Denied::Scope => {
                counts.scope.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn counts_at(&self, at: Timestamp) -> &HourTally {
        let hour = hour_number(at);
        if self.hour.load(Ordering::Relaxed) < hour {
            self.hour.fetch_max(hour, Ordering::SeqCst);
        }
        &self.counts[usize::from(hour % 2 == 1)]
    }

    /// Whether it has to be put into the channel, which whoever is told so does.
    pub(super) fn is_to_be_noted(&self) -> bool {
        // Looked at first: most find it set, and need not write to what all cores share.
        !self.noted.load(Ordering::SeqCst) && !self.noted.swap(true, Ordering::SeqCst)
    }

    /// It is in the channel no more.
    pub(super) fn unnote(&self) {
        self.noted.store(false, Ordering::SeqCst);
    }

    /// Whether a use after its end is told for the first time in that hour.
    pub(super) fn tells_reuse(&self, at: Timestamp) -> bool {
        let hour = hour_number(at);
        self.reuse_told.swap(hour, Ordering::Relaxed) != hour
    }

    /// It could not be told.
    pub(super) fn forget_reuse(&self) {
        self.reuse_told.store(0, Ordering::Relaxed);
    }

    /// Takes the figures out, with the hours that they belong to. The last use is the newer hour's.
    pub(super) fn take(&self, mut keep: impl FnMut(UsageNote)) {
        // In this order: a use that comes in between is noted again. (All of it is in one order for all, SeqCst: whoever
        // has still seen it noted is counted below.)
        self.unnote();
        let mut last_use = self.take_last();
        let newest = self.hour.load(Ordering::SeqCst);
        for mut hour in [newest, newest.saturating_sub(1)] {
            let counts = &self.counts[usize::from(hour % 2 == 1)];
            let take = |count: &AtomicU32| i64::from(count.swap(0, Ordering::SeqCst));
            let (requests, expired, scope) = (take(&counts.requests), take(&counts.expired), take(&counts.scope));
            // An hour that has begun meanwhile counts where the one before the last did.
            if hour < newest && self.hour.load(Ordering::SeqCst) > newest {
                hour = newest + 1;
            }
            if last_use.is_none() && (requests, expired, scope) == (0, 0, 0) {
                continue;
            }
            let Some(beginning) = DateTime::from_timestamp(i64::from(hour) * SECONDS_PER_HOUR, 0) else { continue };
            keep(UsageNote {
                tenant: self.tenant,
                lookup_digest: self.lookup_digest,
                last_use: last_use.take(),
                hour: beginning,
                requests,
                denied_expired: expired,
                denied_scope: scope,
            });
        }
    }

    /// The last use since this was last asked. Its client is told each time, since another instance may have told of
    /// another meanwhile; and stays, since it will most likely be the next one's.
    fn take_last(&self) -> Option<LastUse> {
        let micros = self.last_used_micros.swap(i64::MIN, Ordering::SeqCst);
        let at = DateTime::from_timestamp_micros(micros)?;
        let client = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(LastUse { at, client })
    }
}

/// The hour, since 1970.
pub(super) fn hour_number(at: Timestamp) -> u32 {
    u32::try_from(at.timestamp().div_euclid(SECONDS_PER_HOUR)).unwrap_or(0)
}

/// So much of a client's own word as is kept, and no secret that has strayed into it.
fn shorten(user_agent: &[u8]) -> Box<str> {
    let text: String = String::from_utf8_lossy(user_agent).chars().filter(|c| !c.is_control()).collect();
    if text.contains(Secret::PREFIX) {
        return "[redacted]".into();
    }
    text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn tally() -> Tally {
        Tally::new(TenantId(Uuid::nil()), ApiKeyId(Uuid::nil()), LookupDigest::NONE)
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        DateTime::from_timestamp(hour * SECONDS_PER_HOUR + minute * 60, 0).unwrap()
    }

    fn take(tally: &Tally) -> Vec<UsageNote> {
        let mut notes = Vec::new();
        tally.take(|note| notes.push(note));
        notes
    }

    #[test]
    fn a_tally_is_small() {
        // There is one for each remembered secret.
        assert!(size_of::<Tally>() <= 112, "{}", size_of::<Tally>());
    }

    #[test]
    fn what_is_used_at_the_turn_of_the_hour_counts_in_its_own() {
        let (tally, client) = (tally(), Client { address: None, user_agent: Some(b"curl") });
        tally.used(at(41, 59), client, 1);
        let mut notes = Vec::new();
        // A request comes while the figures are taken.
        tally.take(|note| {
            if notes.is_empty() {
                tally.used(at(42, 0), client, 1);
            }
            notes.push(note);
        });
        notes.extend(take(&tally));
        notes.retain(|note| note.requests > 0); // and not only of a last use
        let figures: Vec<_> = notes.iter().map(|note| (note.hour, note.requests)).collect();
        assert_eq!(figures, [(at(41, 0), 1), (at(42, 0), 1)]);
    }

    #[test]
    fn agents_are_shortened_and_hold_no_secret() {
        assert_eq!(&*shorten("é".repeat(300).as_bytes()), "é".repeat(200));
        assert_eq!(&*shorten(b"a\0b\x1bc\xff"), "abc\u{fffd}");
        assert_eq!(&*shorten(b"curl rk_live_0123"), "[redacted]");
        assert_eq!(&*shorten(b"rk_li\tve_0123"), "[redacted]");
    }

    #[test]
    fn each_hour_has_its_own_figures_and_each_is_taken_once() {
        let tally = tally();
        let client = Client { address: None, user_agent: Some(b"curl") };
        tally.used(at(41, 59), client, 1);
        tally.used(at(41, 59), client, 1);
        tally.denied(at(42, 0), Denied::Scope);
        tally.used(at(42, 1), client, 1);
        let notes = take(&tally);
        let figures: Vec<_> =
            notes.iter().map(|note| (note.hour, note.requests, note.denied_expired, note.denied_scope)).collect();
        assert_eq!(figures, [(at(42, 0), 1, 0, 1), (at(41, 0), 2, 0, 0)]);
        let curl = Arc::new(LastClient { hash: 1, address: None, user_agent: "curl".into() });
        let last_use = LastUse { at: at(42, 1), client: curl };
        assert_eq!(notes.iter().filter_map(|note| note.last_use.as_ref()).collect::<Vec<_>>(), [&last_use]);
        assert_eq!(take(&tally), []);
        // The client is told each time, since another instance may have told of another meanwhile.
        tally.used(at(42, 2), client, 1);
        assert_eq!(take(&tally)[0].last_use, Some(LastUse { at: at(42, 2), ..last_use }));
        let wget = Client { address: Some([192, 0, 2, 1].into()), user_agent: Some(b"wget") };
        tally.used(at(42, 2), wget, 2);
        let last = take(&tally)[0].last_use.clone().unwrap().client;
        assert_eq!((last.address, &*last.user_agent), (wget.address, "wget"));
        // Refused, and not used.
        tally.denied(at(42, 3), Denied::Expired);
        let [note] = &take(&tally)[..] else { panic!("one note") };
        assert_eq!((note.requests, note.denied_expired, &note.last_use), (1, 1, &None));
    }
}
