//! The acknowledgement protocol behind receipts, without I/O and with the time as an argument.
//!
//! To prove that no instance uses a state from before a change, an instance asks all others after the commit, and waits.
//! Notifications arrive in the order of their commits, which makes each step sufficient:
//! - Who receives the question has received, and invalidated, all that was committed before it, and acknowledges.
//! - A lease under which an instance may use the state from before the change was renewed by a heartbeat from before the
//!   change. Once the question is back, all of these have been heard. So what is waited for is fixed then: for each
//!   instance that is heard, an acknowledgement or the end of the lease of its newest heartbeat. Later heartbeats extend
//!   nothing: when one of these comes back to its instance, so has the change.
//! - Of heartbeats from before this instance listened, the leases are over when it has listened for a whole one.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    time::Duration,
};

use tokio::sync::watch;

use super::message::{InstanceId, Message, Nonce};
use crate::domain::{Moment, Receipt};

/// Instances that are remembered after their end, so that a replayed heartbeat of theirs counts for nothing.
const MAX_PEERS: usize = 1_000;

/// The tolerance for clock drift that is added to another instance's lease. Two clocks drift apart by at most 0.1 % (each is
/// adjusted by at most 500 ppm); twice that is allowed for. The constant part is for rounding, and for the time between a
/// check's look at the clock and its decision.
fn margin(lease: Duration) -> Duration {
    lease / 500 + Duration::from_millis(50)
}

fn lease_end(of: Moment, lease: Duration) -> Moment {
    of.after(lease + margin(lease))
}

/// Another instance.
#[derive(Debug)]
struct Peer {
    /// Of its newest heartbeat.
    number: u64,
    lease: Duration,
    /// By this instance's clock, on the safe side.
    lapses_at: Moment,
    /// It has said goodbye.
    has_stopped: bool,
}

/// A question, from its first waiter to its last.
#[derive(Debug, Default)]
struct Round {
    waiters: usize,
    /// Wakes the waiters.
    progress_changed: watch::Sender<()>,
    acknowledged: HashMap<InstanceId, Moment>,
    returned: Option<Returned>,
}

/// The instances that a round waits for, fixed when its question has come back.
#[derive(Debug)]
struct Returned {
    at: Moment,
    /// The instances that may still use an older state, until then, unless they acknowledge.
    awaited: HashMap<InstanceId, Moment>,
    /// When the leases of instances that this one never heard are over.
    unheard_until: Moment,
}

/// How far a round has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// As far as it is known.
    pub(crate) receipt: Receipt,
    pub(crate) outstanding: Vec<InstanceId>,
    /// When it is complete at the latest. `None`: the question is not back yet.
    pub(crate) complete_at: Option<Moment>,
    pub(crate) is_complete: bool,
}

impl Progress {
    pub(crate) fn complete(receipt: Receipt) -> Self {
        Self { receipt, outstanding: Vec::new(), complete_at: Some(Moment::now()), is_complete: true }
    }
}

pub(super) struct Protocol {
    own: InstanceId,
    /// It has a cache, and counts as an instance.
    serves: bool,
    lease: Duration,
    /// Since when no notification was missed. `None`: the feed is down.
    listening_since: Option<Moment>,
    peers: HashMap<InstanceId, Peer>,
    /// The newest question that each instance has acknowledged; this one: that came back.
    acknowledged: HashMap<InstanceId, u64>,
    beats: u64,
    /// The number of the next question. The number of a round is that of the first question after its change.
    next_question: u64,
    rounds: BTreeMap<u64, Round>,
    /// A question is to be sent.
    is_asking: bool,
    /// The newest question of each instance that is to be acknowledged.
    to_acknowledge: BTreeMap<InstanceId, u64>,
}

impl Protocol {
    pub(super) fn new(own: InstanceId, lease: Duration) -> Self {
        Self {
            own,
            serves: true,
            lease,
            listening_since: None,
            peers: HashMap::new(),
            acknowledged: HashMap::new(),
            beats: 0,
            next_question: 1,
            rounds: BTreeMap::new(),
            is_asking: false,
            to_acknowledge: BTreeMap::new(),
        }
    }

    /// For who only asks.
    pub(super) fn observing(own: InstanceId, lease: Duration) -> Self {
        Self { serves: false, ..Self::new(own, lease) }
    }

    /// The feed is up, and this instance's cache was emptied.
    pub(super) fn listen(&mut self, now: Moment) {
        self.listening_since = Some(now);
        self.is_asking = !self.rounds.is_empty();
    }

    pub(super) fn lose_feed(&mut self) {
        self.listening_since = None;
        self.to_acknowledge.clear();
    }

    /// A round for all that is committed by now: its number, to be released, and what changes with its progress.
    pub(super) fn begin(&mut self) -> (u64, watch::Receiver<()>) {
        let number = self.next_question;
        let round = self.rounds.entry(number).or_default();
        round.waiters += 1;
        self.is_asking = true;
        (number, round.progress_changed.subscribe())
    }

    pub(super) fn release(&mut self, number: u64) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        round.waiters -= 1;
        if round.waiters == 0 {
            self.rounds.remove(&number);
        }
    }

    /// The next heartbeat. Outstanding questions are asked again with it: an instance may have missed one, by a feed that
    /// broke, and has emptied its cache then.
    pub(super) fn beat(&mut self, nonce: Nonce) -> Message {
        self.beats += 1;
        self.ask_again();
        Message::Beat { from: self.own, number: self.beats, lease: self.lease, nonce }
    }

    pub(super) fn ask_again(&mut self) {
        self.is_asking |= !self.rounds.is_empty();
    }

    /// What is to be sent now, besides heartbeats.
    pub(super) fn outgoing(&mut self) -> Vec<Message> {
        let acknowledged = std::mem::take(&mut self.to_acknowledge).into_iter();
        let own = self.own;
        let mut messages: Vec<_> =
            acknowledged.map(|(to, number)| Message::Acknowledge { from: own, to, number }).collect();
        if std::mem::take(&mut self.is_asking) {
            messages.push(Message::Ask { from: own, number: self.next_question });
            self.next_question += 1;
        }
        messages
    }

    pub(super) fn has_outgoing(&self) -> bool {
        self.is_asking || !self.to_acknowledge.is_empty()
    }

    /// Takes a message that is authentic, after all that came before it has been applied.
    pub(super) fn hear(&mut self, message: Message, now: Moment) {
        let Some(listening_since) = self.listening_since else { return };
        match message {
            Message::Beat { from, number, lease, .. } if from != self.own => self.hear_beat(from, number, lease, now),
            Message::Ask { from, number } if from == self.own => {
                let unheard_until = lease_end(listening_since, self.longest_lease());
                let awaited: HashMap<_, _> = self.live(now).map(|(id, peer)| (*id, peer.lapses_at)).collect();
                for round in self.newly_acknowledged(from, number) {
                    round.returned = Some(Returned { at: now, awaited: awaited.clone(), unheard_until });
                    round.progress_changed.send_replace(());
                }
            }
            Message::Ask { from, number } if self.serves => {
                let newest = self.to_acknowledge.entry(from).or_default();
                *newest = number.max(*newest);
            }
            Message::Acknowledge { from, to, number } if to == self.own && from != self.own => {
                for round in self.newly_acknowledged(from, number) {
                    round.acknowledged.insert(from, now);
                    round.progress_changed.send_replace(());
                }
            }
            Message::Goodbye { from } if from != self.own => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.has_stopped = true;
                }
                for round in self.rounds.values_mut() {
                    round.acknowledged.entry(from).or_insert(now);
                    round.progress_changed.send_replace(());
                }
            }
            Message::Beat { .. } | Message::Ask { .. } | Message::Acknowledge { .. } | Message::Goodbye { .. } => {}
        }
    }

    /// The rounds up to this number that were not acknowledged by that instance before.
    fn newly_acknowledged(&mut self, by: InstanceId, number: u64) -> impl Iterator<Item = &mut Round> {
        let newest = self.acknowledged.entry(by).or_default();
        let before = std::mem::replace(newest, number.max(*newest));
        self.rounds.range_mut((Bound::Excluded(before), Bound::Included(*newest))).map(|(_, round)| round)
    }

    fn hear_beat(&mut self, from: InstanceId, number: u64, lease: Duration, now: Moment) {
        let known = self.peers.get(&from);
        if known.is_some_and(|peer| peer.has_stopped || peer.number >= number) {
            return; // it was heard before, and somebody sends it again
        }
        let is_first = known.is_none();
        if is_first && self.peers.len() >= MAX_PEERS {
            self.peers.retain(|_, peer| peer.lapses_at > now && !peer.has_stopped);
            self.acknowledged.retain(|id, _| *id == self.own || self.peers.contains_key(id));
        }
        let lapses_at = lease_end(now, lease);
        self.peers.insert(from, Peer { number, lease, lapses_at, has_stopped: false });
        // While a lease from before this instance listened may last, it may be this peer's. One that is heard for the first time
        // may have a longer lease than is waited for.
        let longest = self.listening_since.filter(|_| is_first).map(|since| lease_end(since, lease));
        for returned in self.rounds.values_mut().filter_map(|round| round.returned.as_mut()) {
            let until = longest.map_or(returned.unheard_until, |end| end.max(returned.unheard_until));
            if now < until {
                returned.unheard_until = until;
                returned.awaited.entry(from).or_insert(until);
            }
        }
    }

    fn live(&self, now: Moment) -> impl Iterator<Item = (&InstanceId, &Peer)> {
        self.peers.iter().filter(move |(_, peer)| !peer.has_stopped && peer.lapses_at > now)
    }

    /// Of all that were heard: each waits for every other by its own lease.
    fn longest_lease(&self) -> Duration {
        self.peers.values().map(|peer| peer.lease).fold(self.lease, Duration::max)
    }

    /// Instances that are heard, this one included while its feed is up.
    pub(super) fn live_instances(&self, now: Moment) -> usize {
        self.live(now).count() + usize::from(self.listening_since.is_some())
    }

    /// `since`: the commit. After its release a round has come as far as one that was never asked about.
    pub(super) fn progress(&self, number: u64, since: Moment, now: Moment) -> Progress {
        let unknown = Round::default();
        let round = self.rounds.get(&number).unwrap_or(&unknown);
        let Some(Returned { at, awaited, unheard_until }) = &round.returned else {
            let acknowledged = round.acknowledged.len();
            let slowest = round.acknowledged.values().max().map_or(Duration::ZERO, |at| at.since(since));
            let instances = self.live(now).count() + 1;
            let receipt = Receipt { instances, acknowledged, lapsed: 0, slowest };
            let outstanding = self.live(now).map(|(id, _)| *id).chain([self.own]);
            let outstanding = outstanding.filter(|id| !round.acknowledged.contains_key(id)).collect();
            return Progress { receipt, outstanding, complete_at: None, is_complete: false };
        };
        // This instance has acknowledged: its question is back.
        let own = usize::from(self.serves);
        let mut receipt =
            Receipt { instances: awaited.len() + own, acknowledged: own, lapsed: 0, slowest: at.since(since) };
        let (mut outstanding, mut complete_at) = (Vec::new(), *unheard_until);
        for (id, lapses_at) in awaited {
            if let Some(at) = round.acknowledged.get(id) {
                receipt.acknowledged += 1;
                receipt.slowest = receipt.slowest.max(at.since(since));
            } else if *lapses_at <= now {
                receipt.lapsed += 1;
            } else {
                outstanding.push(*id);
                complete_at = complete_at.max(*lapses_at);
            }
        }
        outstanding.sort();
        let is_complete = outstanding.is_empty() && *unheard_until <= now;
        Progress { receipt, outstanding, complete_at: Some(complete_at), is_complete }
    }

    /// The question is back: this instance has received all that was committed before it.
    pub(super) fn has_returned(&self, number: u64) -> bool {
        self.rounds.get(&number).is_some_and(|round| round.returned.is_some())
    }
}

#[cfg(test)]
mod tests;
