//! A Redis Cluster on loopback: three masters with a replica each, whose slots are moved and whose masters are killed.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Connection, Options, PATIENCE, Redis, Reply, wait_until};

const MASTER_COUNT: usize = 3;
const NODE_COUNT: usize = 6;
const SLOT_COUNT: u16 = 16_384;
/// After how much silence a master counts as dead. A promotion takes about this and one second more; less than this
/// is too little on a machine that builds something meanwhile.
const NODE_TIMEOUT_MS: &str = "2500";

/// The six servers. They end with this value.
pub(crate) struct RedisCluster {
    nodes: Vec<Redis>,
    ids: Vec<String>,
}

/// A migration of one slot that is under way: the slot's keys are on both nodes.
pub(crate) struct Migration {
    slot: String,
    from: usize,
    to: usize,
}

impl RedisCluster {
    /// Starts a cluster whose slots are spread evenly, and waits until every node says that all is well.
    #[track_caller]
    pub(crate) fn start(options: Options) -> Self {
        assert!(options.port.is_none(), "six servers cannot listen on one port");
        let settings = options
            .with("cluster-enabled", "yes")
            .with("cluster-node-timeout", NODE_TIMEOUT_MS)
            .with("repl-diskless-sync-delay", "0");
        let nodes: Vec<Redis> = (0..NODE_COUNT).map(|_| Redis::launch(settings.clone())).collect();
        nodes.iter().for_each(Redis::wait_until_it_answers);
        // By itself it waits for ever where the nodes do not find each other.
        let mut redis_cli = Command::new("timeout");
        redis_cli
            .args([&PATIENCE.as_secs().to_string(), "redis-cli", "--cluster", "create"])
            .args(nodes.iter().map(Redis::address));
        redis_cli.args(["--cluster-replicas", "1", "--cluster-yes"]).stdin(Stdio::null());
        if let Some(password) = &settings.password {
            redis_cli.args(["-a", password]);
        }
        let made = redis_cli.output().expect("redis-cli must be installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let ids = nodes.iter().map(|node| node.call(&["CLUSTER", "MYID"]).text()).collect();
        let cluster = Self { nodes, ids };
        cluster.wait_until_whole();
        cluster
    }

    /// The servers. Which of them are masters changes.
    pub(crate) fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// One of the servers.
    pub(crate) fn node(&mut self, index: usize) -> &mut Redis {
        &mut self.nodes[index]
    }

    /// `redis://127.0.0.1:<port>,127.0.0.1:<port>,…` with all six.
    pub(crate) fn url(&self) -> String {
        let others = self.nodes.iter().skip(1).map(|node| format!(",{}", node.address()));
        self.nodes[0].url() + &others.collect::<String>()
    }

    /// `127.0.0.1:<port>` of all six.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::address).collect()
    }

    /// The slot of a key.
    #[track_caller]
    pub(crate) fn slot(&self, key: &str) -> u16 {
        let node = self.nodes.iter().find(|node| node.is_running()).unwrap();
        u16::try_from(node.call(&["CLUSTER", "KEYSLOT", key]).number()).unwrap()
    }

    /// The running master that serves a slot, as most of the running nodes see it.
    pub(crate) fn owner(&self, slot: u16) -> Option<usize> {
        let running = self.nodes.iter().filter(|node| node.is_running());
        let votes: Vec<usize> = running.filter_map(|node| self.owner_seen_by(node, slot)).collect();
        let owner = *votes.first()?;
        (votes.iter().filter(|vote| **vote == owner).count() * 2 > NODE_COUNT).then_some(owner)
    }

    /// The owner of a slot that one node tells.
    fn owner_seen_by(&self, node: &Redis, slot: u16) -> Option<usize> {
        let slots = Connection::open(node.port()).ok().map(|_| node.call(&["CLUSTER", "SLOTS"]))?;
        let Reply::Array(ranges) = slots else { return None };
        let range = ranges.iter().find(|range| {
            let (first, last) = (range.parts()[0].number(), range.parts()[1].number());
            (first..=last).contains(&i64::from(slot))
        })?;
        let port = range.parts()[2].parts()[1].number();
        let index = self.nodes.iter().position(|node| i64::from(node.port()) == port)?;
        self.nodes[index].is_running().then_some(index)
    }

    /// Waits until a slot is served by another than `former`, and says by whom.
    #[track_caller]
    pub(crate) fn wait_for_promotion(&self, slot: u16, former: usize) -> usize {
        wait_until("a replica is promoted", || self.owner(slot).is_some_and(|owner| owner != former));
        self.owner(slot).unwrap()
    }

    /// A running replica of a master.
    #[track_caller]
    pub(crate) fn replica_of(&self, master: usize) -> usize {
        let port = self.nodes[master].port().to_string();
        let is_replica = |node: &Redis| {
            node.is_running()
                && node.info("role").as_deref() == Some("slave")
                && node.info("master_port").as_deref() == Some(&*port)
        };
        self.nodes.iter().position(is_replica).unwrap_or_else(|| panic!("node {master} has no replica"))
    }

    /// Promotes the replica of a slot's master as an operator would, without loss, and says which it was.
    #[track_caller]
    pub(crate) fn fail_over(&self, slot: u16) -> usize {
        let master = self.owner(slot).unwrap();
        let replica = self.replica_of(master);
        let mut next = Instant::now();
        wait_until("the replica is promoted", || {
            // A replica that does not get there in five seconds, under load, gives up.
            if Instant::now() >= next {
                self.nodes[replica].call(&["CLUSTER", "FAILOVER"]);
                next = Instant::now() + Duration::from_secs(6);
            }
            self.owner(slot).is_some_and(|owner| owner != master)
        });
        self.wait_for_promotion(slot, master)
    }

    /// Kills the master of a slot, and says which it was. Its replica is promoted after a while.
    #[track_caller]
    pub(crate) fn kill_owner(&mut self, slot: u16) -> usize {
        let master = self.owner(slot).unwrap();
        self.nodes[master].kill();
        master
    }

    /// A running master that does not serve a slot.
    #[track_caller]
    pub(crate) fn other_master(&self, slot: u16) -> usize {
        let owner = self.owner(slot).unwrap();
        let mut masters = (0..SLOT_COUNT).step_by(64).filter_map(|slot| self.owner(slot));
        masters.find(|master| *master != owner).unwrap()
    }

    /// Moves a slot with all its keys to another master while clients go on.
    #[track_caller]
    pub(crate) fn migrate(&self, slot: u16, to: usize) {
        let migration = self.begin_migration(slot, to);
        self.finish_migration(migration);
    }

    /// Opens both ends of a migration: from now on missing keys are asked for at the new owner.
    #[track_caller]
    pub(crate) fn begin_migration(&self, slot: u16, to: usize) -> Migration {
        let from = self.owner(slot).unwrap();
        assert_ne!(from, to, "the slot is there already");
        let slot = slot.to_string();
        self.order(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.ids[from]]);
        self.order(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.ids[to]]);
        Migration { slot, from, to }
    }

    /// Moves the keys and makes the new owner known to all masters.
    #[track_caller]
    pub(crate) fn finish_migration(&self, migration: Migration) {
        let Migration { slot, from, to } = migration;
        let port = self.nodes[to].port().to_string();
        let mut source = self.nodes[from].connect();
        loop {
            let keys = source.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.parts().is_empty() {
                break;
            }
            let mut command = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000"].map(str::to_owned).to_vec();
            if let Some(password) = &self.nodes[to].options.password {
                command.extend(["AUTH".to_owned(), password.clone()]);
            }
            command.push("KEYS".to_owned());
            command.extend(keys.parts().iter().map(Reply::text));
            let moved = source.call(&command);
            assert!(matches!(moved, Reply::Text(_)), "{moved:?}");
        }
        // The new owner is told first: a node that lost the slot and knows no other owner refuses everything.
        let others = (0..NODE_COUNT).filter(|node| ![from, to].contains(node));
        for node in [to, from].into_iter().chain(others) {
            let is_master =
                self.nodes[node].is_running() && self.nodes[node].info("role").as_deref() == Some("master");
            if is_master {
                self.order(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &self.ids[to]]);
            }
        }
        let slot = slot.parse().unwrap();
        wait_until("the slot's owner is known", || self.owner(slot) == Some(to));
    }

    #[track_caller]
    fn order(&self, node: usize, command: &[&str]) {
        assert_eq!(self.nodes[node].call(command), Reply::Text("OK".into()), "{command:?}");
    }

    /// Waits until every running node says that all slots are served, and every replica hears its master.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) {
        wait_until("the cluster is whole", || {
            let mut running = self.nodes.iter().filter(|node| node.is_running());
            running.all(|node| {
                let Reply::Text(state) = node.call(&["CLUSTER", "INFO"]) else { return false };
                let is_linked = node.info("master_link_status").is_none_or(|status| status == "up");
                String::from_utf8_lossy(&state).contains("cluster_state:ok") && is_linked
            })
        });
        let masters = (0..SLOT_COUNT).step_by(4096).filter_map(|slot| self.owner(slot));
        assert!(masters.count() >= MASTER_COUNT);
        // Gossip settles a moment after the state does: fail-over asks for a replica that all masters know.
        sleep(Duration::from_millis(500));
    }
}
