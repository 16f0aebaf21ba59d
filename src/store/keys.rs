//! The names of everything that nodes keep in Redis, and of the topics over which they hear of each other.
//!
//! All names of a partition begin with its tag, so they are in one slot of a cluster, and a script may touch any of them.
//!
//! ```text
//! {rt0.2}:g               counter of partition 0                        rt  the prefix, 2  what brings the tag into
//! {rt0.2}:us              stream of what is said to users                                  the partition's slots
//! {rt0.2}:o:<run>         the run's last publication that was carried out
//! {rt0.2}:x               nothing: the key is named and never written
//! {rt0.2}:c:general       a channel's state
//! {rt0.2}:s:general       its stream
//! {rt0.2}:d0, {rt0.2}:d1  by key of idempotency, what the publication was answered
//! {rt0.2}:a:ada           absences of a user of the partition
//! {rt0.2}:S:<run>:<core>  sessions that began on a core, whose number says which partition they are in
//! {rt0.2}:S:<pid>         a session that another node has taken up
//! {rt0.2}:leases          nodes that live; in partition 0
//! rt:partitions           how many partitions nodes that live have
//!
//! {rt0.2}:f:general       topic: publications and signals of a channel
//! {rt0.2}:u               topic: publications to users
//! {rt0.2}:p               topic: presence of users of the partition
//! {rt0.2}:w:<run>:<core>  topic: the canary of a core
//! {rt0.2}:all             topic: signals to every node; in partition 0
//! {rt0.2}:n:<run>         topic: signals to one node; in partition 0
//! ```

use core_shards::cursor::RunId;
use core_shards::store::Topic;
use core_shards::{CoreId, Partition};
use protocol::redis::{SLOT_COUNT, Slot};

/// One name: a key or a topic.
pub(super) type Key = Vec<u8>;

/// The names of all partitions.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    tags: Vec<Tag>,
    /// The key in which nodes tell each other how many partitions they have, which is in none.
    pub(super) partitions: Key,
}

/// How the names of a partition begin.
#[derive(Clone, Debug)]
struct Tag {
    text: String,
    slot: Slot,
}

/// What a topic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// A channel, by its name.
    Channel(Partition, &'a [u8]),
    /// What is said to users.
    Users(Partition),
    /// Presence of users.
    Presence(Partition),
    /// All nodes.
    Everybody,
    /// One node, by its run.
    Node(&'a [u8]),
}

impl Keys {
    /// The names of so many partitions, with this before each.
    pub(super) fn new(prefix: &str, partitions: u16) -> Self {
        Self {
            tags: (0..partitions).map(|partition| Tag::new(prefix, partition, partitions)).collect(),
            partitions: format!("{prefix}:partitions").into(),
        }
    }

    /// The slot of a partition.
    pub(super) fn slot(&self, partition: Partition) -> Slot {
        self.tags[partition.index()].slot
    }

    /// The partition of things that belong to a core and to no name.
    pub(super) fn partition_of_core(&self, core: u16) -> Partition {
        Partition((usize::from(core) % self.tags.len()) as u16)
    }

    /// The counter of a partition.
    pub(super) fn counter(&self, partition: Partition) -> Key {
        self.name(partition, &["g"])
    }

    /// The stream of what is said to users of a partition.
    pub(super) fn users_stream(&self, partition: Partition) -> Key {
        self.name(partition, &["us"])
    }

    /// The number of a run's last publication that was carried out.
    pub(super) fn progress(&self, partition: Partition, run: &RunId) -> Key {
        self.name(partition, &["o:", run.as_str()])
    }

    /// The state of a channel.
    pub(super) fn state(&self, partition: Partition, channel: &str) -> Key {
        written(|out| self.push_state(out, partition, channel))
    }

    /// Appends the name of a channel's state.
    pub(super) fn push_state(&self, out: &mut Key, partition: Partition, channel: &str) {
        self.push(out, partition, &["c:", channel]);
    }

    /// The stream of a channel.
    pub(super) fn stream(&self, partition: Partition, channel: &str) -> Key {
        written(|out| self.push_stream(out, partition, channel))
    }

    /// Appends the name of a channel's stream.
    pub(super) fn push_stream(&self, out: &mut Key, partition: Partition, channel: &str) {
        self.push(out, partition, &["s:", channel]);
    }

    /// What publications were answered, by their keys of idempotency: two tables that take turns.
    pub(super) fn receipts(&self, partition: Partition) -> [Key; 2] {
        [self.name(partition, &["d0"]), self.name(partition, &["d1"])]
    }

    /// A key that never exists.
    pub(super) fn never(&self, partition: Partition) -> Key {
        self.name(partition, &["x"])
    }

    /// The absences of a user.
    pub(super) fn absences(&self, partition: Partition, user: &str) -> Key {
        self.name(partition, &["a:", user])
    }

    /// The sessions that began on a core of a run.
    pub(super) fn sessions(&self, run: &str, core: u16) -> Key {
        self.name(self.partition_of_core(core), &["S:", run, ":", &core.to_string()])
    }

    /// A session that another node has taken up, by its private id and the core where it began.
    pub(super) fn session(&self, pid: &str, core: u16) -> Key {
        self.name(self.partition_of_core(core), &["S:", pid])
    }

    /// The nodes that live.
    pub(super) fn leases(&self) -> Key {
        self.name(Partition(0), &["leases"])
    }

    /// The topic of publications to users.
    pub(super) fn users_topic(&self, partition: Partition) -> Key {
        written(|out| self.push_users_topic(out, partition))
    }

    /// Appends the topic of publications to users.
    pub(super) fn push_users_topic(&self, out: &mut Key, partition: Partition) {
        self.push(out, partition, &["u"]);
    }

    /// The topic of a channel.
    pub(super) fn channel_topic(&self, partition: Partition, channel: &str) -> Key {
        written(|out| self.push_channel_topic(out, partition, channel))
    }

    /// Appends the topic of a channel.
    pub(super) fn push_channel_topic(&self, out: &mut Key, partition: Partition, channel: &str) {
        self.push(out, partition, &["f:", channel]);
    }

    /// The topic of a core's canary.
    pub(super) fn canary_topic(&self, partition: Partition, run: &RunId, core: CoreId) -> Key {
        self.name(partition, &["w:", run.as_str(), ":", &core.0.to_string()])
    }

    /// The topic of a signal; `channel_partition` says where channels are.
    pub(super) fn topic(&self, topic: &Topic, channel_partition: impl Fn(&str) -> Partition) -> (Slot, Key) {
        let (partition, name) = match topic {
            Topic::Channel(channel) => {
                let partition = channel_partition(channel);
                (partition, self.channel_topic(partition, channel))
            }
            Topic::Presence(partition) => (*partition, self.name(*partition, &["p"])),
            Topic::Everybody => (Partition(0), self.name(Partition(0), &["all"])),
            Topic::Node(run) => (Partition(0), self.name(Partition(0), &["n:", run.as_str()])),
        };
        (self.slot(partition), name)
    }

    /// What a topic is about; `None` if it is none of ours. Asked for each message that comes: names are not read.
    pub(super) fn subject<'a>(&self, topic: &'a [u8]) -> Option<Subject<'a>> {
        let (partition, rest) = self.tags.iter().zip(0..).find_map(|(tag, number)| {
            Some((Partition(number), topic.strip_prefix(tag.text.as_bytes())?.strip_prefix(b":")?))
        })?;
        Some(match rest {
            [b'f', b':', channel @ ..] => Subject::Channel(partition, channel),
            b"u" => Subject::Users(partition),
            b"p" => Subject::Presence(partition),
            b"all" => Subject::Everybody,
            [b'n', b':', run @ ..] => Subject::Node(run),
            _ => return None,
        })
    }

    fn name(&self, partition: Partition, parts: &[&str]) -> Key {
        written(|out| self.push(out, partition, parts))
    }

    fn push(&self, out: &mut Key, partition: Partition, parts: &[&str]) {
        let tag = &self.tags[partition.index()].text;
        out.reserve(tag.len() + 1 + parts.iter().map(|part| part.len()).sum::<usize>());
        out.extend_from_slice(tag.as_bytes());
        out.push(b':');
        parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    }
}

fn written(write: impl FnOnce(&mut Key)) -> Key {
    let mut name = Key::new();
    write(&mut name);
    name
}

impl Tag {
    /// The first tag of this form whose slot lies in the partition's share of all slots, so that partitions are spread
    /// over the masters as evenly as slots are.
    fn new(prefix: &str, partition: u16, partitions: u16) -> Self {
        let bound = |number: u16| u32::from(number) * u32::from(SLOT_COUNT) / u32::from(partitions);
        let share = bound(partition)..bound(partition + 1);
        let tags = (0u32..).map(|number| {
            let text = format!("{{{prefix}{partition}.{number}}}");
            Self { slot: Slot::of(text.as_bytes()), text }
        });
        let mut fitting = tags.filter(|tag| share.contains(&u32::from(tag.slot.0)));
        fitting.next().expect("one of so many numbers falls into a sixteenth of all slots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_partition_is_in_its_one_slot() {
        for partitions in 1..=16 {
            let keys = Keys::new("rt", partitions);
            let run = RunId::from_random(1);
            for partition in (0..partitions).map(Partition) {
                let slot = keys.slot(partition);
                let share = u32::from(slot.0) * u32::from(partitions) / u32::from(SLOT_COUNT);
                assert_eq!(share, u32::from(partition.0), "{partitions}");
                let names = [
                    keys.counter(partition),
                    keys.stream(partition, "a{b}c"),
                    keys.absences(partition, "{x}"),
                    keys.channel_topic(partition, "}{"),
                    keys.canary_topic(partition, &run, CoreId(3)),
                ];
                assert!(names.iter().all(|name| Slot::of(name) == slot), "{names:?}");
            }
        }
    }

    /// While a release is rolled out, nodes of two versions meet at these names.
    #[test]
    fn names_stay_as_they_are() {
        let keys = Keys::new("rt", 4);
        let run = RunId::parse("0A1B2C3D").unwrap();
        let names = [
            keys.partitions.clone(),
            keys.counter(Partition(0)),
            keys.users_stream(Partition(1)),
            keys.progress(Partition(2), &run),
            keys.never(Partition(3)),
            keys.state(Partition(0), "a:b"),
            keys.stream(Partition(0), "a:b"),
            keys.receipts(Partition(0)).concat(),
            keys.absences(Partition(0), "ada"),
            keys.sessions("0A1B2C3D", 5),
            keys.session("PID", 5),
            keys.leases(),
            keys.channel_topic(Partition(0), "a:b"),
            keys.users_topic(Partition(0)),
            keys.canary_topic(Partition(0), &run, CoreId(1)),
            keys.topic(&Topic::Presence(Partition(0)), |_| Partition(0)).1,
            keys.topic(&Topic::Everybody, |_| Partition(0)).1,
            keys.topic(&Topic::Node(run), |_| Partition(0)).1,
        ];
        let expected = [
            "rt:partitions",
            "{rt0.0}:g",
            "{rt1.2}:us",
            "{rt2.0}:o:0A1B2C3D",
            "{rt3.2}:x",
            "{rt0.0}:c:a:b",
            "{rt0.0}:s:a:b",
            "{rt0.0}:d0{rt0.0}:d1",
            "{rt0.0}:a:ada",
            "{rt1.2}:S:0A1B2C3D:5",
            "{rt1.2}:S:PID",
            "{rt0.0}:leases",
            "{rt0.0}:f:a:b",
            "{rt0.0}:u",
            "{rt0.0}:w:0A1B2C3D:1",
            "{rt0.0}:p",
            "{rt0.0}:all",
            "{rt0.0}:n:0A1B2C3D",
        ];
        assert_eq!(names.each_ref().map(|name| str::from_utf8(name).unwrap()), expected);
    }

    #[test]
    fn a_topic_says_what_it_is_about() {
        let keys = Keys::new("rt", 4);
        let run = RunId::from_random(1);
        let at = |_: &str| Partition(2);
        let check = |topic: &Topic, subject: Subject<'_>| {
            let (slot, name) = keys.topic(topic, at);
            assert_eq!(Slot::of(&name), slot);
            assert_eq!(keys.subject(&name), Some(subject));
        };
        check(&Topic::Channel("a:b".into()), Subject::Channel(Partition(2), b"a:b"));
        check(&Topic::Presence(Partition(3)), Subject::Presence(Partition(3)));
        check(&Topic::Everybody, Subject::Everybody);
        check(&Topic::Node(run), Subject::Node(run.as_str().as_bytes()));
        assert_eq!(keys.subject(&keys.users_topic(Partition(1))), Some(Subject::Users(Partition(1))));
        for foreign in [&b"x"[..], b"{rt9.0}:u", b"\xff", &keys.counter(Partition(0))] {
            assert_eq!(keys.subject(foreign), None);
        }
    }
}
