//! The protocol in a model of several instances on one queue of notifications, in any order of events, and through a
//! failover: a synchronous standby is promoted while the old primary goes on, and instances reach either of them.

use super::*;
use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const LEASE: Duration = Duration::from_secs(10);
const INSTANCES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// The instance takes the time of its next heartbeat, which may be committed much later.
    TakeBeat(usize),
    CommitBeat(usize),
    /// The instance sends what it has to say.
    Send(usize),
    /// The instance receives a number of notifications.
    Receive(usize, usize),
    /// The instance caches the state as a server knows it.
    Look(usize, ServerId),
    /// The instance changes the state on a server, and waits for a receipt.
    Change(usize, ServerId),
    /// The feed breaks: the instance hears nothing, sends nothing, and uses its cache until its lease is over.
    LoseFeed(usize),
    /// The feed is established, again, on a server; what was sent in between is missed.
    Listen(usize, ServerId),
    Stop(usize),
    /// The standby becomes the primary, and the old one does not know of it.
    Promote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerId {
    Old,
    /// The promoted standby. Before that, its address leads to the old primary.
    New,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let instance = || 0..INSTANCES;
    let server = || prop_oneof![1 => Just(ServerId::Old), 2 => Just(ServerId::New)];
    let event = prop_oneof![
        4 => (1..4_000_u64).prop_map(Event::Pass),
        3 => instance().prop_map(Event::TakeBeat),
        4 => instance().prop_map(Event::CommitBeat),
        5 => instance().prop_map(Event::Send),
        8 => (instance(), 1..20_usize).prop_map(|(instance, number)| Event::Receive(instance, number)),
        4 => (instance(), server()).prop_map(|(instance, server)| Event::Look(instance, server)),
        2 => (instance(), server()).prop_map(|(instance, server)| Event::Change(instance, server)),
        1 => instance().prop_map(Event::LoseFeed),
        2 => (instance(), server()).prop_map(|(instance, server)| Event::Listen(instance, server)),
        1 => prop_oneof![
            8 => Just(Event::Pass(1)),
            1 => instance().prop_map(Event::Stop),
            1 => Just(Event::Promote),
        ],
    ];
    prop::collection::vec(event, 1..120)
}

#[derive(Clone, Copy)]
enum Notification {
    Change,
    Message(Message),
}

struct Instance {
    protocol: Protocol,
    /// That the feed and the heartbeats are of; the last one, while the feed is down.
    server: ServerId,
    /// The next notification that it receives.
    place: usize,
    /// When its lease is over.
    lease_until: Moment,
    /// The version of the state that it has cached.
    cached: Option<u64>,
    /// Taken, and not committed.
    beat: Option<(Message, Nonce, Moment)>,
    /// Committed.
    sent: Vec<(Nonce, Moment)>,
    waits: Vec<(u64, Moment, u64)>,
    is_listening: bool,
    has_stopped: bool,
}

impl Instance {
    fn is_connected(&self) -> bool {
        self.is_listening && !self.has_stopped
    }

    fn receive(&mut self, queue: &[Notification], number: usize, now: Moment) {
        for notification in queue.iter().skip(self.place).take(number) {
            self.place += 1;
            match *notification {
                Notification::Change => self.cached = None,
                Notification::Message(message) => {
                    if let Message::Beat { nonce, .. } = message
                        && let Some((_, taken)) = self.sent.iter().find(|(sent, _)| *sent == nonce)
                    {
                        self.lease_until = self.lease_until.max(taken.after(LEASE));
                    }
                    self.protocol.hear(message, now);
                }
            }
        }
    }
}

/// A defect that is put into the model, which has to detect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A receipt does not wait for the other instances.
    WaitsForNobody,
    /// A receipt does not wait until this instance has listened for a whole lease.
    IgnoresUnheard,
    /// An instance whose feed is established again keeps its cache.
    KeepsCache,
    /// A lookup that another server than the feed's has answered is cached.
    CachesOtherServers,
    /// A heartbeat only notifies: its commit waits for no standby.
    BeatsProveNothing,
    /// The same of a question.
    QuestionsProveNothing,
}

impl Fault {
    fn is_complete(self, progress: &Progress) -> bool {
        match self {
            Self::WaitsForNobody => progress.complete_at.is_some(),
            Self::IgnoresUnheard => progress.complete_at.is_some() && progress.outstanding.is_empty(),
            _ => progress.is_complete,
        }
    }
}

struct World {
    fault: Fault,
    now: Moment,
    /// That the primary knows; since the promotion, the new one.
    version: u64,
    /// That the old primary knows since the promotion. `None`: there was none.
    old_version: Option<u64>,
    old_queue: Vec<Notification>,
    new_queue: Vec<Notification>,
    instances: Vec<Instance>,
    /// The newest version that there is a receipt of.
    proven: u64,
    receipts: usize,
}

impl World {
    fn new(fault: Fault) -> Self {
        let now = Moment(1_000_000_000_000);
        let instance = || Instance {
            protocol: Protocol::new(InstanceId::random(), LEASE),
            server: ServerId::Old,
            place: 0,
            lease_until: Moment(0),
            cached: None,
            beat: None,
            sent: Vec::new(),
            waits: Vec::new(),
            is_listening: true,
            has_stopped: false,
        };
        let mut world = Self {
            fault,
            now,
            version: 0,
            old_version: None,
            old_queue: Vec::new(),
            new_queue: Vec::new(),
            instances: std::iter::repeat_with(instance).take(INSTANCES).collect(),
            proven: 0,
            receipts: 0,
        };
        for instance in &mut world.instances {
            instance.protocol.listen(now);
        }
        world
    }

    /// A commit that writes to the write-ahead log waits for the standby, which has left the old primary.
    fn waits_for_ever(&self, server: ServerId) -> bool {
        server == ServerId::Old && self.old_version.is_some()
    }

    /// The event with the server that is really reached, and that server.
    fn reached(&self, event: Event) -> (Event, ServerId) {
        let reached = |server| if self.old_version.is_some() { server } else { ServerId::Old };
        match event {
            Event::Look(index, server) => (Event::Look(index, reached(server)), reached(server)),
            Event::Change(index, server) => (Event::Change(index, reached(server)), reached(server)),
            Event::Listen(index, server) => (Event::Listen(index, reached(server)), reached(server)),
            Event::TakeBeat(index)
            | Event::CommitBeat(index)
            | Event::Send(index)
            | Event::Receive(index, _)
            | Event::LoseFeed(index)
            | Event::Stop(index) => (event, self.instances[index].server),
            Event::Pass(_) | Event::Promote => (event, ServerId::Old),
        }
    }

    fn apply(&mut self, event: Event) {
        let (now, fault) = (self.now, self.fault);
        let (event, server) = self.reached(event);
        let waits_for_ever = self.waits_for_ever(server);
        let queue = match server {
            ServerId::Old => &mut self.old_queue,
            ServerId::New => &mut self.new_queue,
        };
        match event {
            Event::Promote => {
                self.old_version.get_or_insert(self.version);
            }
            Event::Pass(millis) => self.now = now.after(Duration::from_millis(millis)),
            Event::TakeBeat(index) => {
                let nonce = Nonce::random();
                let Some(instance) = self.instances.get_mut(index).filter(|one| one.is_connected()) else { return };
                if instance.beat.is_none() {
                    instance.beat = Some((instance.protocol.beat(nonce), nonce, now));
                }
            }
            Event::CommitBeat(index) => {
                let Some(instance) = self.instances.get_mut(index).filter(|one| one.is_connected()) else { return };
                if let Some((message, nonce, taken)) = instance.beat.take()
                    && (!waits_for_ever || fault == Fault::BeatsProveNothing)
                {
                    instance.sent.push((nonce, taken));
                    queue.push(Notification::Message(message));
                }
            }
            Event::Send(index) => {
                let Some(instance) = self.instances.get_mut(index).filter(|one| one.is_connected()) else { return };
                let messages = instance.protocol.outgoing();
                // One transaction, which is a proof if it asks.
                let is_proof = messages.iter().any(Message::is_question);
                if !waits_for_ever || !is_proof || fault == Fault::QuestionsProveNothing {
                    queue.extend(messages.into_iter().map(Notification::Message));
                }
            }
            Event::Receive(index, number) => {
                let Some(instance) = self.instances.get_mut(index).filter(|one| one.is_connected()) else { return };
                instance.receive(queue, number, now);
            }
            Event::Look(index, server) => {
                let version = self.old_version.filter(|_| server == ServerId::Old).unwrap_or(self.version);
                let instance = &mut self.instances[index];
                if instance.server != server && fault != Fault::CachesOtherServers {
                    (instance.lease_until, instance.cached) = (Moment(0), None);
                    instance.protocol.lose_feed();
                    instance.is_listening = false;
                } else if now < instance.lease_until && instance.cached.is_none() {
                    instance.cached = Some(version);
                }
            }
            Event::Change(index, _) => {
                let instance = &mut self.instances[index];
                if instance.has_stopped || waits_for_ever {
                    return;
                }
                self.version += 1;
                queue.push(Notification::Change);
                instance.cached = None;
                let (number, _) = instance.protocol.begin();
                instance.waits.push((number, now, self.version));
            }
            Event::LoseFeed(index) => {
                let instance = &mut self.instances[index];
                instance.protocol.lose_feed();
                instance.is_listening = false;
            }
            Event::Listen(index, _) => {
                let instance = &mut self.instances[index];
                if instance.has_stopped {
                    return;
                }
                instance.protocol.lose_feed();
                (instance.lease_until, instance.beat) = (Moment(0), None);
                if self.fault != Fault::KeepsCache {
                    instance.cached = None;
                }
                instance.sent.clear();
                (instance.place, instance.is_listening, instance.server) = (queue.len(), true, server);
                instance.protocol.listen(now);
            }
            Event::Stop(index) => {
                let instance = &mut self.instances[index];
                if !instance.has_stopped {
                    (instance.lease_until, instance.has_stopped) = (Moment(0), true);
                    queue.push(Notification::Message(Message::Goodbye { from: instance.protocol.own }));
                }
            }
        }
    }

    /// Notes the receipts that are complete, and returns whether an instance may use a state from before one of them.
    fn is_stale(&mut self) -> bool {
        for instance in self.instances.iter().filter(|instance| !instance.has_stopped) {
            for (number, since, version) in &instance.waits {
                if self.fault.is_complete(&instance.protocol.progress(*number, *since, self.now)) {
                    self.receipts += usize::from(*version > self.proven);
                    self.proven = self.proven.max(*version);
                }
            }
        }
        self.instances.iter().any(|instance| {
            self.now < instance.lease_until && instance.cached.is_some_and(|version| version < self.proven)
        })
    }

    /// The waits of instances that run and are not complete.
    fn unfinished(&self) -> usize {
        let running = self.instances.iter().filter(|instance| !instance.has_stopped);
        let waits = running.flat_map(|instance| instance.waits.iter().map(|wait| (&instance.protocol, wait)));
        waits.filter(|(protocol, (number, since, _))| !protocol.progress(*number, *since, self.now).is_complete).count()
    }
}

#[derive(Debug, Default)]
struct Found {
    /// A state was used that is from before a receipt.
    is_stale: bool,
    receipts: usize,
    /// Waits that did not end after all feeds were up.
    unfinished: usize,
}

/// Runs the model on random sequences of events, from a fixed seed.
fn run(fault: Fault, cases: u32) -> Found {
    let (receipts, unfinished) = (Cell::new(0), Cell::new(0));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, random).run(&events(), |events| {
        let mut world = World::new(fault);
        for event in events {
            world.apply(event);
            prop_assert!(!world.is_stale());
        }
        for index in 0..INSTANCES {
            let instance = &world.instances[index];
            // The heartbeats of who is on the old primary fail.
            if !instance.is_listening || world.waits_for_ever(instance.server) {
                world.apply(Event::Listen(index, ServerId::New));
            }
        }
        // Nobody sends heartbeats any more: the leases end.
        for _ in 0..30 {
            world.apply(Event::Pass(1_000));
            for index in 0..INSTANCES {
                world.apply(Event::Send(index));
                world.apply(Event::Receive(index, 1_000));
            }
            prop_assert!(!world.is_stale());
        }
        receipts.set(receipts.get() + world.receipts);
        unfinished.set(unfinished.get() + world.unfinished());
        Ok(())
    });
    Found { is_stale: outcome.is_err(), receipts: receipts.get(), unfinished: unfinished.get() }
}

#[test]
fn after_a_receipt_no_instance_uses_a_state_from_before_it_and_each_wait_ends() {
    let found = run(Fault::None, 5_000);
    assert!(!found.is_stale && found.unfinished == 0 && found.receipts > 1_000, "{found:?}");
}

#[test]
fn a_receipt_that_skips_a_step_is_found_to_be_wrong_by_the_model() {
    for fault in [Fault::WaitsForNobody, Fault::IgnoresUnheard] {
        assert!(run(fault, 20_000).is_stale, "{fault:?}");
    }
}

/// Too long for a random run to find.
#[test]
fn an_instance_that_listens_again_acknowledges_only_with_an_empty_cache() {
    let beat = |index| [Event::TakeBeat(index), Event::CommitBeat(index)];
    let events = [
        &[Event::Pass(11_000)][..],
        &beat(0),
        &beat(1),
        &[receive(0), receive(1), Event::Look(1, ServerId::Old), Event::LoseFeed(1), Event::Change(0, ServerId::Old)],
        &[Event::Send(0), receive(0), Event::Listen(1, ServerId::Old)],
        &beat(1),
        &beat(0),
        &[Event::Send(0), receive(1), Event::Send(1), receive(0)],
    ];
    assert_eq!(at_the_end(Fault::None, &events), (false, 1));
    assert_eq!(at_the_end(Fault::KeepsCache, &events), (true, 1));
}

/// Whether an instance may use a state from before a receipt, and the number of receipts.
fn at_the_end(fault: Fault, events: &[&[Event]]) -> (bool, usize) {
    let mut world = World::new(fault);
    for event in events.concat() {
        world.apply(event);
    }
    let is_stale = world.is_stale();
    (is_stale, world.receipts)
}

const fn receive(index: usize) -> Event {
    Event::Receive(index, 1_000)
}

fn renew_lease(index: usize) -> [Event; 3] {
    [Event::TakeBeat(index), Event::CommitBeat(index), receive(index)]
}

/// The feed is of the new primary. A connection that was opened before it leads to the old one, which goes on.
#[test]
fn a_state_of_the_old_primary_is_not_cached_under_a_lease_of_the_new_one() {
    use ServerId::{New, Old};
    let events = [
        &[Event::Promote, Event::Listen(0, New), Event::Listen(1, New), Event::Listen(2, New), Event::Pass(11_000)][..],
        &renew_lease(1),
        &[Event::Change(0, New), receive(1), Event::Look(1, Old)],
        &[Event::Send(0), receive(0), receive(1), Event::Send(1), receive(0)],
    ];
    assert_eq!(at_the_end(Fault::CachesOtherServers, &events), (true, 1));
    let (is_stale, _) = at_the_end(Fault::None, &events);
    assert!(!is_stale);
    // The receipt comes once the instance, which has lost its feed, listens again.
    let again = [&events[..], &[&[Event::Pass(11_000)]]].concat();
    assert_eq!(at_the_end(Fault::None, &again), (false, 1));
}

#[test]
fn a_heartbeat_renews_no_lease_on_an_old_primary_whose_standby_was_promoted() {
    use ServerId::{New, Old};
    let events = [
        &renew_lease(1)[..],
        &[Event::Look(1, Old), Event::Promote, Event::Listen(0, New), Event::Pass(8_000)],
        &renew_lease(1),
        &[Event::Change(0, New), Event::Send(0), receive(0), Event::Pass(3_000)],
    ];
    assert_eq!(at_the_end(Fault::BeatsProveNothing, &events), (true, 1));
    assert_eq!(at_the_end(Fault::None, &events), (false, 1));
}

/// The change is made over a connection to the new primary, while feeds are still of the old one.
#[test]
fn a_question_on_an_old_primary_proves_nothing_about_a_change_on_the_new_one() {
    use ServerId::{New, Old};
    let events = [
        &[Event::Pass(11_000)][..],
        &renew_lease(0),
        &renew_lease(1),
        &[Event::Look(1, Old), receive(0), Event::Promote, Event::Change(0, New)],
        &[Event::Send(0), receive(0), receive(1), Event::Send(1), receive(0)],
    ];
    assert_eq!(at_the_end(Fault::QuestionsProveNothing, &events), (true, 1));
    assert_eq!(at_the_end(Fault::None, &events), (false, 0));
}

#[test]
fn a_heartbeat_of_a_known_instance_after_a_reconnect_prolongs_no_wait() {
    let (own, other) = (InstanceId::random(), InstanceId::random());
    let at = |seconds: u64| Moment(1_000_000_000_000).after(Duration::from_secs(seconds));
    let mut protocol = Protocol::new(own, LEASE);
    protocol.listen(at(0));
    protocol.hear(beat(other, 1), at(1));
    let (number, _) = protocol.begin();
    protocol.outgoing();
    protocol.hear(Message::Ask { from: own, number }, at(2));
    let before = protocol.progress(number, at(2), at(3)).complete_at;
    protocol.lose_feed();
    protocol.listen(at(8));
    protocol.hear(beat(other, 2), at(9));
    assert_eq!(protocol.progress(number, at(2), at(9)).complete_at, before);
}

/// As while LEASE_SECONDS is being changed.
#[test]
fn a_longer_lease_that_is_heard_of_late_is_waited_for() {
    let (own, other) = (InstanceId::random(), InstanceId::random());
    let at = |seconds: u64| Moment(1_000_000_000_000).after(Duration::from_secs(seconds));
    let mut protocol = Protocol::new(own, LEASE);
    protocol.listen(at(0));
    let (number, _) = protocol.begin();
    protocol.outgoing();
    protocol.hear(Message::Ask { from: own, number }, at(1));
    protocol.hear(Message::Beat { from: other, number: 7, lease: 3 * LEASE, nonce: Nonce::random() }, at(2));
    let until = lease_end(at(0), 3 * LEASE);
    let progress = protocol.progress(number, at(0), at(20));
    assert_eq!((progress.is_complete, progress.complete_at), (false, Some(until)));
    assert!(protocol.progress(number, at(0), until).is_complete);
}

fn beat(from: InstanceId, number: u64) -> Message {
    Message::Beat { from, number, lease: LEASE, nonce: Nonce::random() }
}

#[test]
fn an_acknowledgement_counts_for_its_question_and_those_before() {
    let (own, other) = (InstanceId::random(), InstanceId::random());
    let at = |seconds: u64| Moment(1_000_000_000_000).after(Duration::from_secs(seconds));
    let mut protocol = Protocol::new(own, LEASE);
    protocol.listen(at(0));
    protocol.hear(beat(other, 1), at(20));
    let (first, _) = protocol.begin();
    assert_eq!(protocol.outgoing(), [Message::Ask { from: own, number: first }]);
    let (second, _) = protocol.begin();
    assert!(second > first && protocol.has_outgoing());
    protocol.outgoing();
    for number in [first, second] {
        protocol.hear(Message::Ask { from: own, number }, at(21));
        assert!(protocol.has_returned(number));
    }
    let is_complete = |protocol: &Protocol, number| protocol.progress(number, at(20), at(21)).is_complete;
    // Not for another asker, and not for a question after it.
    protocol.hear(Message::Acknowledge { from: other, to: other, number: second }, at(21));
    assert!(!is_complete(&protocol, first));
    protocol.hear(Message::Acknowledge { from: other, to: own, number: first }, at(21));
    assert!(is_complete(&protocol, first) && !is_complete(&protocol, second));
    protocol.hear(Message::Acknowledge { from: other, to: own, number: second }, at(21));
    let progress = protocol.progress(second, at(20), at(21));
    let receipt = Receipt { instances: 2, acknowledged: 2, lapsed: 0, slowest: Duration::from_secs(1) };
    assert_eq!((progress.receipt, progress.is_complete), (receipt, true));
    // Somebody sends the older ones again.
    for number in [first, 0] {
        protocol.hear(Message::Acknowledge { from: other, to: own, number }, at(22));
        protocol.hear(Message::Ask { from: own, number }, at(22));
    }
    assert_eq!(protocol.progress(second, at(20), at(22)).receipt, receipt);
}

#[test]
fn a_silent_instance_lapses_with_the_lease_of_its_newest_heartbeat_from_before() {
    let (own, other) = (InstanceId::random(), InstanceId::random());
    let at = |millis: u64| Moment(1_000_000_000_000).after(Duration::from_millis(millis));
    let mut protocol = Protocol::new(own, LEASE);
    protocol.listen(at(0));
    protocol.hear(beat(other, 1), at(20_000));
    let (number, _) = protocol.begin();
    protocol.outgoing();
    protocol.hear(Message::Ask { from: own, number }, at(21_000));
    // Somebody sends a heartbeat again, and the instance a new one: neither extends the wait.
    protocol.hear(beat(other, 1), at(22_000));
    protocol.hear(beat(other, 2), at(23_000));
    let over = 30_000 + 20 + 50;
    let progress = protocol.progress(number, at(20_500), at(over - 1));
    assert_eq!((progress.is_complete, progress.complete_at), (false, Some(at(over))));
    let progress = protocol.progress(number, at(20_500), at(over));
    assert!(progress.is_complete && progress.receipt.lapsed == 1 && progress.receipt.acknowledged == 1);
    assert_eq!(protocol.live_instances(at(over)), 2, "it lives on, for later questions");
    protocol.hear(Message::Goodbye { from: other }, at(over));
    protocol.hear(beat(other, 3), at(over));
    assert_eq!(protocol.live_instances(at(over)), 1);
    protocol.release(number);
    assert!(protocol.rounds.is_empty());
}
