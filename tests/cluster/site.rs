//! The whole set-up: nodes on one Redis, a balancer before them, and a crowd of clients that talk all the time. What is
//! judged at the end of each test is what every one of them heard.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::balancer::Balancer;
use super::checker::{Verdict, judge};
use super::client::{Client, Part};
use super::diary::Diary;
use super::node::Node;
use super::redis::wait_until;

/// How much is going on. The steady load of the long runs is 2,000 messages a second over 500 channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Clients.
    pub(crate) clients: usize,
    /// Channels, over all clients.
    pub(crate) channels: usize,
    /// Channels that each client is in.
    pub(crate) channels_each: usize,
    /// Messages per second of all clients.
    pub(crate) messages_per_second: u32,
}

impl Load {
    /// The steady load of this run: long if `CLUSTER_LOAD` is `full`, otherwise what a shared machine carries besides
    /// other work.
    pub(crate) fn steady() -> Self {
        if is_full() {
            Self { clients: 90, channels: 500, channels_each: 17, messages_per_second: 2_000 }
        } else {
            Self { clients: 30, channels: 60, channels_each: 6, messages_per_second: 200 }
        }
    }
}

/// Whether the long versions are wanted.
pub(crate) fn is_full() -> bool {
    std::env::var("CLUSTER_LOAD").is_ok_and(|load| load == "full")
}

/// The short or the long version of a duration in seconds.
pub(crate) fn seconds(short: u64, full: u64) -> Duration {
    Duration::from_secs(if is_full() { full } else { short })
}

/// A bound that a promise names: as it is in the long runs, and thrice as long beside other work.
pub(crate) fn bound(seconds: u64) -> Duration {
    Duration::from_secs(if is_full() { seconds } else { 3 * seconds })
}

/// Settings that let what takes minutes in production happen in seconds.
pub(crate) const QUICK: [(&str, &str); 3] = [
    ("REALTIME_WEBSOCKET_PING_INTERVAL", "2000"),
    ("REALTIME_WEBSOCKET_PING_TIMEOUT", "2000"),
    ("REALTIME_PRESENCE_TIMEOUT", "5000"),
];

/// The same for clients that are not listened to for a while, and then do not answer pings.
pub(crate) const CALM: [(&str, &str); 1] = [("REALTIME_PRESENCE_TIMEOUT", "5000")];

/// The nodes and their balancer.
pub(crate) struct Site {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// What clients connect to.
    pub(crate) balancer: Balancer,
}

impl Site {
    /// Starts nodes with these settings, each on the Redis that `urls` names for it, and waits until all are ready.
    #[track_caller]
    pub(crate) fn start(urls: &[impl AsRef<str>], settings: &[(&str, &str)]) -> Self {
        let mut site = Self::new(urls, settings);
        for node in &mut site.nodes {
            node.start();
        }
        for node in &site.nodes {
            node.wait_until_ready();
        }
        site
    }

    /// Three nodes on one Redis, all ready.
    #[track_caller]
    pub(crate) fn three(url: &str) -> Self {
        Self::start(&[url; 3], &QUICK)
    }

    /// Describes nodes with these settings without starting them.
    pub(crate) fn new(urls: &[impl AsRef<str>], settings: &[(&str, &str)]) -> Self {
        let nodes: Vec<Node> = urls.iter().map(|url| node_on(url.as_ref(), settings)).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        Self { nodes, balancer: Balancer::start(&addresses) }
    }

    /// Lets a crowd in through the balancer, and waits until everybody is in all channels.
    #[track_caller]
    pub(crate) fn crowd(&self, load: Load) -> Crowd {
        Crowd::enter(self.balancer.address(), load)
    }

    /// Waits until every node says that it and its Redis are well.
    #[track_caller]
    pub(crate) fn wait_until_healthy(&self) {
        for node in &self.nodes {
            node.wait_for_health("healthy");
        }
    }

    /// Points the balancer at the nodes whose numbers are given.
    pub(crate) fn balance_over(&self, numbers: &[usize]) {
        let targets: Vec<_> = numbers.iter().map(|&number| self.nodes[number].address).collect();
        self.balancer.aim(&targets);
    }

    /// Everything in the nodes' logs that a sound node does not write.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.nodes.iter().flat_map(Node::alarms).collect()
    }

    /// What the nodes say of themselves, for the message of a failure.
    pub(crate) fn healths(&self) -> String {
        self.nodes.iter().map(|node| format!("{}: {}\n", node.address, node.health())).collect()
    }
}

/// A node on a Redis; on none if the address is empty.
fn node_on(url: &str, settings: &[(&str, &str)]) -> Node {
    let mut node = Node::new(settings);
    if !url.is_empty() {
        node.set("REALTIME_REDIS_ENABLED", "true");
        node.set("REALTIME_REDIS_URL", url);
    }
    node
}

/// Clients that talk.
pub(crate) struct Crowd {
    /// Each of them.
    pub(crate) clients: Vec<Client>,
}

impl Crowd {
    /// Lets a crowd in at an address, and waits until everybody is in all channels.
    #[track_caller]
    pub(crate) fn enter(address: SocketAddr, load: Load) -> Self {
        let pace =
            Duration::from_secs(1) * u32::try_from(load.clients).unwrap_or(1) / load.messages_per_second;
        let part = |number: usize| {
            let channel = |index: usize| {
                let step = number * load.channels_each + index;
                format!("room-{}", step % load.channels)
            };
            let name = format!("user-{number}");
            let channels = (0..load.channels_each).map(channel).collect();
            Part { name, address, channels, pace: Some(pace) }
        };
        let clients: Vec<Client> = (0..load.clients).map(|number| Client::start(part(number))).collect();
        let crowd = Self { clients };
        crowd.wait_until_all_are_in();
        crowd
    }

    /// Waits until everybody is connected and in all channels.
    #[track_caller]
    pub(crate) fn wait_until_all_are_in(&self) {
        wait_until("every client is in its channels", || self.clients.iter().all(Client::is_ready));
    }

    /// Lets time pass while everybody talks, and asks again and again whether something holds.
    #[track_caller]
    pub(crate) fn talk_for(&self, time: Duration, mut holds: impl FnMut()) {
        let ends = Instant::now() + time;
        while Instant::now() < ends {
            holds();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many messages were accepted so far.
    pub(crate) fn acked_count(&self) -> usize {
        let is_acked = |said: &super::diary::Said| matches!(said.fate, super::diary::Fate::Acked { .. });
        self.clients
            .iter()
            .map(|client| client.diary().said.values().filter(|said| is_acked(said)).count())
            .sum()
    }

    /// Waits until so many more messages were accepted, as proof that things go on.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let before = self.acked_count();
        wait_until("messages are accepted", || self.acked_count() >= before + count);
    }

    /// Lets everybody be quiet, waits until nothing is owed to anybody or that is hopeless, and judges.
    pub(crate) fn judge(self) -> Judged {
        self.settle();
        let diaries: Vec<Diary> = self.clients.into_iter().map(Client::end).collect();
        Judged { verdict: judge(&diaries), diaries }
    }

    /// Waits until every message has its answer and has been heard, or no more comes.
    fn settle(&self) {
        self.clients.iter().for_each(Client::hush);
        let mut last_change = (Instant::now(), (0, 0));
        let began = Instant::now();
        // Unanswered messages are said again by their clients, so an answer may take a few rounds.
        while began.elapsed() < Duration::from_secs(60) {
            let open: usize = self.clients.iter().map(|client| client.diary().open_count()).sum();
            let heard: usize = self.clients.iter().map(|client| client.diary().message_count()).sum();
            if last_change.1 != (open, heard) {
                last_change = (Instant::now(), (open, heard));
            }
            let quiet = last_change.0.elapsed();
            if quiet > Duration::from_secs(15) || (open == 0 && quiet > Duration::from_millis(1_500)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A run that is over.
pub(crate) struct Judged {
    /// What it was worth.
    pub(crate) verdict: Verdict,
    /// What everybody heard.
    pub(crate) diaries: Vec<Diary>,
}

impl Judged {
    /// Holds the run to the promise that nothing is lost unannounced, doubled or out of order. Prints its numbers.
    #[track_caller]
    pub(crate) fn is_sound(&self, site: &Site) -> &Self {
        let Verdict { findings, acked, refused, unanswered, heard, announcements, excused } = &self.verdict;
        println!(
            "{acked} accepted, {refused:?} refused, {unanswered} unanswered, {heard} heard, \
             {announcements} announcements that excuse {excused}, {} returns, {} of them to the same session",
            self.returns().count(),
            self.returns().filter(|back| back.recovered).count()
        );
        let shown = findings.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n  ");
        if !findings.is_empty() {
            let diaries = self.write_diaries();
            panic!(
                "{} findings:\n  {shown}\n{}what everybody heard is in {diaries}",
                findings.len(),
                site.healths()
            );
        }
        assert!(*acked > 0, "nothing was accepted\n{}", site.healths());
        let alarms = site.alarms();
        assert!(alarms.is_empty(), "{alarms:#?}");
        self
    }

    /// Writes down what everybody heard and said, by time. Returns the file's name.
    fn write_diaries(&self) -> String {
        let mut lines = Vec::new();
        for diary in &self.diaries {
            let name = &diary.name;
            for (channel, page) in &diary.pages {
                lines.extend(page.iter().map(|(at, line)| (*at, format!("{name} in {channel}: {line:?}"))));
            }
            let others = diary.others.iter();
            lines.extend(others.map(|(at, event, body)| (*at, format!("{name}: {event} {body}"))));
            let said = diary.said.iter();
            lines.extend(said.map(|(mark, said)| (said.at, format!("{name} says {mark}: {said:?}"))));
            let returns = diary.returns.iter();
            lines.extend(returns.map(|back| (back.lost_at, format!("{name} is cut: {back:?}"))));
        }
        lines.sort();
        let began = lines.first().map_or_else(Instant::now, |(at, _)| *at);
        let text: String = lines.iter().map(|(at, line)| format!("{:?} {line}\n", *at - began)).collect();
        let path = format!("{}/diaries-{}.txt", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Holds it to no announcement at all: whatever happened was repaired.
    #[track_caller]
    pub(crate) fn is_without_gaps(&self) -> &Self {
        let announcements = self.announcements();
        let shown: Vec<&String> = announcements.iter().take(10).collect();
        assert!(announcements.is_empty(), "{} announcements: {shown:#?}", announcements.len());
        self
    }

    /// Holds it to having answered every message.
    #[track_caller]
    pub(crate) fn is_answered(&self) -> &Self {
        assert_eq!(self.verdict.unanswered, 0, "messages were never answered");
        self
    }

    /// Holds it to having refused nothing.
    #[track_caller]
    pub(crate) fn is_without_refusals(&self) -> &Self {
        assert!(self.verdict.refused.is_empty(), "refused: {:?}", self.verdict.refused);
        self
    }

    /// Every time that a client was told of a gap, in words.
    pub(crate) fn announcements(&self) -> Vec<String> {
        let mut found = Vec::new();
        for diary in &self.diaries {
            for (channel, page) in &diary.pages {
                let lines = page.iter().filter(|(_, line)| super::checker::is_announcement(line));
                found.extend(lines.map(|(_, line)| format!("{} in {channel}: {line:?}", diary.name)));
            }
        }
        found
    }

    /// Every return of a client, in the order of the clients.
    pub(crate) fn returns(&self) -> impl Iterator<Item = &super::diary::Return> {
        self.diaries.iter().flat_map(|diary| &diary.returns)
    }

    /// How long the returns took: that of 99 of a hundred is no longer.
    pub(crate) fn slow_return(&self) -> Duration {
        let mut took: Vec<Duration> = self.returns().map(|back| back.took).collect();
        took.sort_unstable();
        took.get((took.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}
