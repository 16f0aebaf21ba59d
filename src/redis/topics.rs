//! Which topics are to be heard, and which are: the desired set, by group. No connection is touched here.
//!
//! ```text
//!                 rise                        last batch of the rise is confirmed
//!   group: Down ─────────> Rising (batches) ────────────────────────────────────> Up
//!            ^                │                                                    │
//!            └────────────────┴──────────────────── fall ──────────────────────────┘
//!
//!                 sent in a batch            that batch is confirmed
//!   topic: Off ───────────────────> Asked ──────────────────────────> Heard
//! ```

use std::collections::HashMap;
use std::rc::Rc;

use super::sink::{GroupId, GroupSpec};

/// Topics in one command of subscription.
pub(super) const BATCH_TOPICS_MAX: usize = 512;

/// One command of subscription, or of its end.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) group: GroupId,
    pub(super) is_subscription: bool,
    pub(super) topics: Vec<Rc<[u8]>>,
    number: u64,
    /// The group comes up with the last of these.
    is_of_rise: bool,
}

/// What follows from a batch's confirmation.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    pub(super) heard: Vec<Rc<[u8]>>,
    pub(super) is_up: bool,
}

/// What is to be done about topics that were wanted, or not any more, since the last time.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) batches: Vec<Batch>,
    /// Topics that were not wanted for a moment, and were heard all the time.
    pub(super) heard: Vec<Rc<[u8]>>,
}

/// All groups of a client.
#[derive(Debug)]
pub(super) struct Topics {
    groups: Vec<Group>,
    last_batch: u64,
}

#[derive(Debug)]
struct Group {
    state: GroupState,
    topics: HashMap<Rc<[u8]>, Topic>,
    changed: Vec<Rc<[u8]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupState {
    Down,
    /// So many batches of the rise, which began with this number, are not confirmed.
    Rising {
        batches: usize,
        since: u64,
    },
    Up {
        since: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Topic {
    is_wanted: bool,
    /// It is the canary's: nobody else is told of it.
    is_canary: bool,
    /// Whoever wants it was told that it is heard.
    is_told: bool,
    server: Server,
}

/// What the server knows of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Off,
    /// The batch of this number asked for it.
    Asked(u64),
    Heard,
}

impl Topics {
    /// Wants the canary's topic of each group, and nothing else.
    pub(super) fn new(groups: &[GroupSpec]) -> Self {
        let group = |spec: &GroupSpec| {
            let canary = Topic { is_wanted: true, is_canary: true, is_told: false, server: Server::Off };
            let topics = HashMap::from([(Rc::from(&*spec.canary_topic), canary)]);
            Group { state: GroupState::Down, topics, changed: Vec::new() }
        };
        Self { groups: groups.iter().map(group).collect(), last_batch: 0 }
    }

    /// Topics that are wanted or not yet forgotten.
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.topics.len()).sum()
    }

    /// Whether a group is heard.
    pub(super) fn is_up(&self, group: GroupId) -> bool {
        matches!(self.groups[usize::from(group.0)].state, GroupState::Up { .. })
    }

    /// Wants a topic.
    pub(super) fn watch(&mut self, group: GroupId, topic: &[u8]) {
        let group = &mut self.groups[usize::from(group.0)];
        match group.topics.get_mut(topic) {
            Some(known) if known.is_wanted => {}
            Some(known) => known.is_wanted = true,
            None => {
                let name = Rc::<[u8]>::from(topic);
                let wanted = Topic { is_wanted: true, is_canary: false, is_told: false, server: Server::Off };
                group.topics.insert(name.clone(), wanted);
                if group.state != GroupState::Down {
                    group.changed.push(name);
                }
            }
        }
    }

    /// Wants it no more.
    pub(super) fn unwatch(&mut self, group: GroupId, topic: &[u8]) {
        let group = &mut self.groups[usize::from(group.0)];
        let Some((name, _)) = group.topics.get_key_value(topic) else { return };
        let name = name.clone();
        let Some(known) = group.topics.get_mut(topic).filter(|known| known.is_wanted) else { return };
        if group.state == GroupState::Down {
            group.topics.remove(topic);
        } else {
            (known.is_wanted, known.is_told) = (false, false);
            group.changed.push(name);
        }
    }

    /// What has to be said about a group whose connection is up.
    pub(super) fn changes(&mut self, id: GroupId) -> Changes {
        let group = &mut self.groups[usize::from(id.0)];
        if group.state == GroupState::Down || group.changed.is_empty() {
            return Changes::default();
        }
        let (mut wanted, mut unwanted, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for name in std::mem::take(&mut group.changed) {
            let Some(topic) = group.topics.get_mut(&name) else { continue };
            match (topic.is_wanted, topic.server) {
                (true, Server::Off) => wanted.push(name),
                (true, Server::Asked(_)) => {}
                (true, Server::Heard) => {
                    if !std::mem::replace(&mut topic.is_told, true) {
                        heard.push(name);
                    }
                }
                (false, server) => {
                    group.topics.remove(&name);
                    if server != Server::Off {
                        unwanted.push(name);
                    }
                }
            }
        }
        let mut batches = self.batches(id, false, unwanted, false);
        batches.append(&mut self.batches(id, true, wanted, false));
        Changes { batches, heard }
    }

    /// The group's connection is up: everything that is wanted has to be asked for.
    pub(super) fn rise(&mut self, id: GroupId) -> Vec<Batch> {
        let group = &mut self.groups[usize::from(id.0)];
        let wanted = group.topics.keys().cloned().collect();
        let since = self.last_batch + 1;
        let batches = self.batches(id, true, wanted, true);
        self.groups[usize::from(id.0)].state = GroupState::Rising { batches: batches.len(), since };
        batches
    }

    /// The server has carried out a batch.
    pub(super) fn confirm(&mut self, batch: &Batch) -> Confirmed {
        let group = &mut self.groups[usize::from(batch.group.0)];
        let mut confirmed = Confirmed::default();
        match &mut group.state {
            GroupState::Down => return confirmed,
            // Of a connection before this one.
            GroupState::Rising { since, .. } | GroupState::Up { since } if batch.number < *since => {
                return confirmed;
            }
            GroupState::Up { .. } => {}
            GroupState::Rising { batches, since } => {
                *batches -= usize::from(batch.is_of_rise);
                if *batches == 0 {
                    confirmed.is_up = true;
                    group.state = GroupState::Up { since: *since };
                }
            }
        }
        for name in batch.topics.iter().filter(|_| batch.is_subscription) {
            let Some(topic) = group.topics.get_mut(name) else { continue };
            // Between, it may have been unwatched and asked for again: then the later batch counts.
            if topic.server == Server::Asked(batch.number) {
                topic.server = Server::Heard;
                if topic.is_wanted && !topic.is_canary && !std::mem::replace(&mut topic.is_told, true) {
                    confirmed.heard.push(name.clone());
                }
            }
        }
        confirmed
    }

    /// The group is heard no more. Whether it was.
    pub(super) fn fall(&mut self, id: GroupId) -> bool {
        let group = &mut self.groups[usize::from(id.0)];
        group.changed = Vec::new();
        group.topics.retain(|_, topic| topic.is_wanted);
        for topic in group.topics.values_mut() {
            (topic.server, topic.is_told) = (Server::Off, false);
        }
        let former = std::mem::replace(&mut group.state, GroupState::Down);
        matches!(former, GroupState::Up { .. })
    }

    fn batches(
        &mut self,
        id: GroupId,
        is_subscription: bool,
        topics: Vec<Rc<[u8]>>,
        is_of_rise: bool,
    ) -> Vec<Batch> {
        let mut batches = Vec::new();
        for topics in topics.chunks(BATCH_TOPICS_MAX) {
            self.last_batch += 1;
            let (number, topics) = (self.last_batch, topics.to_vec());
            if is_subscription {
                let known = &mut self.groups[usize::from(id.0)].topics;
                for name in &topics {
                    if let Some(topic) = known.get_mut(name) {
                        topic.server = Server::Asked(number);
                    }
                }
            }
            batches.push(Batch { group: id, is_subscription, topics, number, is_of_rise });
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use protocol::redis::Slot;

    use super::*;

    const GROUP: GroupId = GroupId(0);

    fn topics() -> Topics {
        Topics::new(&[GroupSpec { slot: Slot(0), canary_topic: Box::from(&b"canary"[..]) }])
    }

    fn names(topics: &[Rc<[u8]>]) -> Vec<&str> {
        let mut names: Vec<_> = topics.iter().map(|topic| std::str::from_utf8(topic).unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// Brings the group up with what is wanted, and returns what was told to be heard.
    fn rise(topics: &mut Topics) -> Vec<Rc<[u8]>> {
        let batches = topics.rise(GROUP);
        let confirmed: Vec<_> = batches.iter().map(|batch| topics.confirm(batch)).collect();
        assert!(confirmed.iter().rev().skip(1).all(|confirmed| !confirmed.is_up));
        assert!(confirmed.last().unwrap().is_up && topics.is_up(GROUP));
        confirmed.into_iter().flat_map(|confirmed| confirmed.heard).collect()
    }

    #[test]
    fn a_group_is_up_when_all_its_topics_are_confirmed_in_batches() {
        let mut topics = topics();
        let wanted: Vec<String> = (0..1_300).map(|number| format!("t{number}")).collect();
        wanted.iter().for_each(|topic| topics.watch(GROUP, topic.as_bytes()));
        assert!(topics.changes(GROUP).batches.is_empty(), "there is no connection");
        assert_eq!(rise(&mut topics).len(), 1_300);
        topics.fall(GROUP);
        let batches = topics.rise(GROUP);
        assert_eq!(batches.len(), 3, "1,301 topics in commands of {BATCH_TOPICS_MAX}");
        assert!(!topics.is_up(GROUP));
    }

    #[test]
    fn a_topic_that_comes_and_goes_within_a_turn_costs_nothing() {
        let mut topics = topics();
        rise(&mut topics);
        topics.watch(GROUP, b"a");
        topics.unwatch(GROUP, b"a");
        assert!(topics.changes(GROUP).batches.is_empty());
        assert_eq!(topics.len(), 1);
    }

    #[test]
    fn a_topic_that_was_unwanted_for_a_moment_is_told_to_be_heard_again() {
        let mut topics = topics();
        topics.watch(GROUP, b"a");
        assert_eq!(names(&rise(&mut topics)), ["a"]);
        topics.unwatch(GROUP, b"a");
        topics.watch(GROUP, b"a");
        let changes = topics.changes(GROUP);
        assert!(changes.batches.is_empty());
        assert_eq!(names(&changes.heard), ["a"]);
    }

    #[test]
    fn of_two_subscriptions_of_a_topic_the_last_one_counts() {
        let mut topics = topics();
        rise(&mut topics);
        topics.watch(GROUP, b"a");
        let first = topics.changes(GROUP).batches.remove(0);
        topics.unwatch(GROUP, b"a");
        let end = topics.changes(GROUP).batches.remove(0);
        topics.watch(GROUP, b"a");
        let second = topics.changes(GROUP).batches.remove(0);
        assert!(first.is_subscription && !end.is_subscription && second.is_subscription);
        assert!(topics.confirm(&first).heard.is_empty() && topics.confirm(&end).heard.is_empty());
        assert_eq!(names(&topics.confirm(&second).heard), ["a"]);
    }

    #[test]
    fn what_a_former_connection_confirms_means_nothing() {
        let mut topics = topics();
        topics.watch(GROUP, b"a");
        let former = topics.rise(GROUP);
        assert!(!topics.fall(GROUP), "it was not up yet");
        let batches = topics.rise(GROUP);
        let confirmed = topics.confirm(&former[0]);
        assert!(confirmed.heard.is_empty() && !confirmed.is_up);
        assert!(topics.confirm(&batches[0]).is_up && topics.fall(GROUP));
    }

    #[test]
    fn what_comes_and_goes_without_a_connection_leaves_nothing() {
        let mut topics = topics();
        for number in 0..100u8 {
            topics.watch(GROUP, &[number]);
            topics.unwatch(GROUP, &[number]);
        }
        assert_eq!((topics.len(), topics.groups[0].changed.len()), (1, 0));
    }
}
