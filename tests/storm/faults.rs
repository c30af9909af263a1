//! The faults: what each does, for how long, and what is there again when it is over.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    cluster::{CLOCK, Cluster, Far, NAMES, STEPS},
    dice::Dice,
    proxy::Way,
    seeded::Step,
};

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A node is killed, and started again after a while.
    NodeKilled,
    /// A node kills itself at a step of a send, and is started again at once.
    NodeDies(Step),
    /// A node does nothing for less than it takes to be missed, then goes on.
    NodePaused,
    /// A node does nothing until the others have given it up, then goes on as if nothing had been.
    NodeExpired,
    /// Every node is told to leave and started again, one after the other.
    RollingRestart,
    /// The clock of a node is an hour ahead, or behind.
    ClockOff,
    /// A node reaches everything but Redis.
    CutFromRedis,
    /// A node reaches everything but the store.
    CutFromStore,
    /// A node reaches the store and the keys of Redis, and no other node by channels or calls.
    CutFromPeers,
    /// Redis is killed and comes back empty.
    RedisKilled,
    /// Redis keeps its connections and says nothing.
    RedisPaused,
    /// Redis ends the nodes' subscriptions, as it does when its output buffer is overrun.
    RedisCutsOff,
    /// The store keeps its connections and says nothing: writes end unknown, and take effect late.
    StorePaused,
    /// What is sent to the store never arrives: writes end unknown, and take no effect.
    StoreSwallows,
    /// The store answers, later than it is waited for: writes end unknown, and have taken effect.
    StoreSlow,
    /// One of three nodes of the store is killed, and comes back with what it has on disk.
    StoreNodeKilled,
}

/// All that a store of one node allows, in turn.
pub(crate) const KINDS: [Kind; 24] = [
    Kind::NodeKilled,
    Kind::NodeDies(Step::BeforeAppend),
    Kind::RedisKilled,
    Kind::StoreSwallows,
    Kind::NodeDies(Step::WhileAppending),
    Kind::CutFromRedis,
    Kind::StorePaused,
    Kind::NodeDies(Step::AfterAppend),
    Kind::ClockOff,
    Kind::NodePaused,
    Kind::NodeDies(Step::BeforeTelling),
    Kind::CutFromStore,
    Kind::RedisCutsOff,
    Kind::NodeDies(Step::BeforeAnswer),
    Kind::CutFromPeers,
    Kind::NodeDies(Step::AfterAnswer),
    Kind::StoreSlow,
    Kind::NodeDies(Step::BeforeForward),
    Kind::NodeExpired,
    Kind::NodeDies(Step::AfterForward),
    Kind::RedisPaused,
    Kind::NodeDies(Step::Heard),
    Kind::NodeDies(Step::BeforeAck),
    Kind::RollingRestart,
];

/// Longer than the store is waited for, there and back.
const LATE: Duration = Duration::from_millis(1_300);

fn ms(dice: &mut Dice, from: u64, to: u64) -> Duration {
    Duration::from_millis(dice.between(from, to))
}

impl Cluster {
    /// Has something fail, and mends it.
    pub(crate) async fn suffer(&mut self, kind: Kind, dice: &mut Dice) {
        let at = usize::try_from(dice.below(3)).expect("invariant: below three");
        match kind {
            Kind::NodeKilled => {
                self.take(at).kill();
                sleep(ms(dice, 0, 2_500)).await;
                self.start_again(at).await;
            }
            Kind::NodeDies(step) => {
                self.dies_at(step).await;
                self.start_again(STEPS).await;
            }
            Kind::NodePaused => self.pause(at, ms(dice, 200, 2_000)).await,
            Kind::NodeExpired => self.pause(at, ms(dice, 7_000, 9_000)).await,
            Kind::RollingRestart => {
                for at in 0..NAMES.len() {
                    let node = self.take(at);
                    let left = tokio::task::spawn_blocking(|| node.terminate());
                    left.await.unwrap();
                    self.start_again(at).await;
                }
            }
            Kind::ClockOff => self.clock_off(dice).await,
            Kind::CutFromRedis => self.cut(at, Far::Redis, ms(dice, 300, 7_000), dice).await,
            Kind::CutFromStore => self.cut(at, Far::Store, ms(dice, 300, 4_500), dice).await,
            Kind::CutFromPeers => {
                self.channels(at, "resetchannels");
                self.cut(at, Far::Peers, ms(dice, 300, 6_000), dice).await;
                self.channels(at, "allchannels");
            }
            Kind::StoreNodeKilled => self.store_node_killed(at, dice).await,
            _ => self.shared_fails(kind, dice).await,
        }
    }

    /// Has fail what all nodes share.
    async fn shared_fails(&mut self, kind: Kind, dice: &mut Dice) {
        match kind {
            Kind::RedisKilled => {
                self.site.redis.kill();
                sleep(ms(dice, 200, 3_000)).await;
                tokio::task::block_in_place(|| self.site.redis.begin());
            }
            Kind::RedisPaused => {
                self.site.redis.pause();
                sleep(ms(dice, 200, 4_000)).await;
                self.site.redis.resume();
            }
            Kind::RedisCutsOff => {
                for _ in 0..3 {
                    self.site.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                    sleep(ms(dice, 50, 400)).await;
                }
            }
            Kind::StorePaused => {
                let store = self
                    .store
                    .as_ref()
                    .expect("invariant: it is the cluster's own");
                store.pause(0);
                sleep(ms(dice, 500, 4_500)).await;
                store.resume(0);
            }
            Kind::StoreSwallows => {
                self.turn_all(Far::Store, Way::Stalled);
                sleep(ms(dice, 2_200, 3_500)).await;
                self.turn_all(Far::Store, Way::Cut);
                sleep(ms(dice, 0, 500)).await;
                self.turn_all(Far::Store, Way::Open);
            }
            Kind::StoreSlow => {
                self.turn_all(Far::Store, Way::Slow(LATE));
                sleep(ms(dice, 2_500, 5_000)).await;
                self.turn_all(Far::Store, Way::Open);
            }
            _ => unreachable!("{kind:?} is one node's"),
        }
    }

    async fn pause(&self, at: usize, time: Duration) {
        self.node(at).pause();
        sleep(time).await;
        self.node(at).resume();
    }

    /// Cuts a node off: at once, or half open first and then cut, or half open only, so that what was sent arrives late.
    async fn cut(&self, at: usize, far: Far, time: Duration, dice: &mut Dice) {
        let (first, then) = match dice.below(3) {
            0 => (Way::Cut, Way::Cut),
            1 => (Way::Stalled, Way::Cut),
            _ => (Way::Stalled, Way::Stalled),
        };
        self.turn(at, far, first);
        sleep(time).await;
        self.turn(at, far, then);
        // Connections are cut before new ones are let through.
        sleep(Duration::from_millis(20)).await;
        self.turn(at, far, Way::Open);
    }

    async fn clock_off(&self, dice: &mut Dice) {
        let offset = *dice.pick(&["+1h", "-1h"]);
        self.set_clock(offset);
        sleep(ms(dice, 3_000, 5_000)).await;
        let (there, here) = (self.node(CLOCK), self.node(0));
        let apart = there.minute_of_day().await - here.minute_of_day().await;
        let apart = apart.rem_euclid(24 * 60);
        let is_off = (59..=61).contains(&apart) || (23 * 60 - 1..=23 * 60 + 1).contains(&apart);
        assert!(is_off, "{offset}: {apart} minutes");
        self.set_clock("+0");
    }

    async fn store_node_killed(&mut self, at: usize, dice: &mut Dice) {
        let store = self
            .store
            .as_mut()
            .expect("invariant: it is the cluster's own");
        store.kill(at);
        sleep(ms(dice, 1_000, 5_000)).await;
        tokio::task::block_in_place(|| store.revive(at));
    }
}
