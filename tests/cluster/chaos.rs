//! Faults in a random order, several at a time, from a seed: whatever comes together, nobody loses anything unannounced, or
//! hears it twice, or in two ways. A long run has another seed each time, and prints it; `CHAOS_SEED` replays it.

use std::time::{Duration, SystemTime};

use super::redis::{Options, Redis};
use super::site::{Load, QUICK, Site, is_full};
use super::weather::{Sky, Weather};

/// The seed of a short run: a slow way to Redis, a killed node, clients cut off, a silent feed, Redis killed, clients again.
const SEED: u64 = 107;

/// What can happen in one step.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillNode(usize),
    RestartNode(usize),
    FreezeNode(usize),
    CutClients,
    KillFeeds,
    DeafNode(usize),
    SilentFeed(usize),
    SlowNode(usize),
    CutNode(usize),
    KillRedis,
    FreezeRedis,
    Nothing,
}

const FAULTS: [fn(usize) -> Fault; 12] = [
    Fault::KillNode,
    Fault::RestartNode,
    Fault::FreezeNode,
    |_| Fault::CutClients,
    |_| Fault::KillFeeds,
    Fault::DeafNode,
    Fault::SilentFeed,
    Fault::SlowNode,
    Fault::CutNode,
    |_| Fault::KillRedis,
    |_| Fault::FreezeRedis,
    |_| Fault::Nothing,
];

/// A set-up whose every way to Redis can be spoilt.
struct Scene {
    redis: Redis,
    ways: Vec<Weather>,
    site: Site,
}

impl Scene {
    fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::KillNode(number) => self.site.nodes[number].kill(),
            Fault::RestartNode(number) => drop(self.site.nodes[number].stop()),
            Fault::FreezeNode(number) => self.site.nodes[number].signal("STOP"),
            Fault::CutClients => self.site.balancer.cut_all(),
            Fault::KillFeeds => drop(self.redis.call(&["CLIENT", "KILL", "TYPE", "pubsub"])),
            Fault::DeafNode(number) => self.ways[number].set(Sky { is_deaf: true, ..Sky::default() }),
            Fault::SilentFeed(number) => self.ways[number].set(Sky { drops_pushes: true, ..Sky::default() }),
            Fault::SlowNode(number) => {
                let delay = Duration::from_millis(150);
                self.ways[number].set(Sky { delay, one_late_in: 50, ..Sky::default() });
            }
            Fault::CutNode(number) => self.ways[number].cut_all(),
            Fault::KillRedis => self.redis.kill(),
            Fault::FreezeRedis => self.redis.freeze(),
            Fault::Nothing => {}
        }
    }

    fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::KillNode(number) | Fault::RestartNode(number) => self.site.nodes[number].start(),
            Fault::FreezeNode(number) => self.site.nodes[number].signal("CONT"),
            Fault::DeafNode(number) | Fault::SilentFeed(number) | Fault::SlowNode(number) => {
                self.ways[number].clear();
            }
            Fault::KillRedis => self.redis.restart(),
            Fault::FreezeRedis => self.redis.thaw(),
            Fault::CutClients | Fault::KillFeeds | Fault::CutNode(_) | Fault::Nothing => {}
        }
    }
}

#[test]
fn whatever_comes_together_nobody_is_deceived() {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| if is_full() { seconds_now() } else { SEED });
    println!("CHAOS_SEED={seed}");
    let mut chance = Chance(seed | 1);
    let options = Options { is_kept: true, ..Options::default() }.with("appendfsync", "always");
    let redis = Redis::start(options);
    let ways: Vec<Weather> = (0..3).map(|_| Weather::before(redis.address().parse().unwrap())).collect();
    let urls: Vec<String> = ways.iter().map(Weather::url).collect();
    let site = Site::start(&urls, &QUICK);
    let crowd = site.crowd(Load::steady());
    let mut scene = Scene { redis, ways, site };
    for round in 0..if is_full() { 60 } else { 8 } {
        let fault = FAULTS[chance.below(FAULTS.len())](chance.below(3));
        let lasts = Duration::from_millis(200 + chance.below(4_000) as u64);
        println!("{round}: {fault:?} for {lasts:?}");
        scene.apply(fault);
        crowd.talk_for(lasts, || {});
        scene.mend(fault);
        crowd.talk_for(Duration::from_millis(chance.below(1_500) as u64), || {});
    }
    scene.site.wait_until_healthy();
    crowd.wait_until_all_are_in();
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&scene.site).is_answered();
    for line in judged.announcements().iter().take(5) {
        println!("announced: {line}");
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Numbers that a seed makes.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % bound
    }
}
