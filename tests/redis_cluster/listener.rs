//! A client on a reactor of its own, and everything that it was told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use core_shards::store::StoreTrouble;
use protocol::redis::{Reply, Slot};
use realtime::redis::{Client, GroupId, GroupSpec, Host, RedisSettings, Script, Sink, StoreMetrics};
use realtime::rt;

use super::redis::PATIENCE;

/// Appends a number to the list of a group and tells it to the group's topic. The third key may be missing, like the
/// receipt of a message that is not a retry.
pub(crate) static APPEND: Script = Script::new(
    "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) redis.call('SET', KEYS[3], ARGV[1], 'PX', 60000)
     redis.call(ARGV[2], ARGV[3], ARGV[1]) return tonumber(ARGV[1])",
);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done(String),
    /// The command was wrong.
    Wrong(String),
    /// It may not have been carried out.
    Trouble(StoreTrouble),
}

impl Outcome {
    /// Whether it was carried out.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// What a group was heard of.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Whether it is heard.
    pub(crate) is_up: Cell<bool>,
    /// How often it came up.
    pub(crate) ups: Cell<u32>,
    /// When it last came up.
    pub(crate) up_at: Cell<Option<Instant>>,
    /// When it last went down.
    pub(crate) down_at: Cell<Option<Instant>>,
    /// What was published to its topics.
    pub(crate) heard: RefCell<Vec<String>>,
}

/// The listener.
pub(crate) struct Listener {
    /// The client.
    pub(crate) client: Client,
    /// By the number of the group.
    pub(crate) groups: Vec<Group>,
    /// How each command ended.
    pub(crate) outcomes: RefCell<HashMap<u64, Outcome>>,
    next_tag: Cell<u64>,
}

/// The key or topic of a group. Groups 0, 1 and 2 are in the slots of three masters.
pub(crate) fn name(group: u16, rest: &str) -> String {
    // The slots of these are 3300, 7365 and 15495.
    let tag = ["b", "c", "a"][usize::from(group)];
    format!("{{{tag}}}:{rest}")
}

/// The slot of a group.
pub(crate) fn slot(group: u16) -> Slot {
    Slot::of(name(group, "").as_bytes())
}

/// Runs `work` on a reactor with a client of three groups. The client listens to the topic `t` of each.
pub(crate) fn listen<F: Future<Output = ()>>(hosts: &[String], work: impl FnOnce(Rc<Listener>) -> F) {
    struct Fatal;
    impl rt::Guard for Fatal {
        fn handle_panic(&self, panic: Box<dyn std::any::Any + Send>) {
            std::panic::resume_unwind(panic);
        }
    }
    let host = |address: &String| {
        let (name, port) = address.split_once(':').unwrap();
        Host { name: name.to_owned(), port: port.parse().unwrap() }
    };
    let settings = RedisSettings {
        hosts: hosts.iter().map(host).collect(),
        is_tls: false,
        ca_file: None,
        username: None,
        password: None,
        database: 0,
        client_name: "listener".to_owned(),
    };
    let driver = rt::choose_driver(rt::DriverPreference::Auto, 1).unwrap().driver;
    rt::run(driver, || async move {
        let groups = (0..3).map(|group| GroupSpec {
            slot: slot(group),
            canary_topic: name(group, "canary").into_bytes().into(),
        });
        let client =
            Client::new(settings, groups.collect(), vec![&APPEND], Arc::new(StoreMetrics::default()));
        let listener = Rc::new(Listener {
            client,
            groups: (0..3).map(|_| Group::default()).collect(),
            outcomes: RefCell::default(),
            next_tag: Cell::new(0),
        });
        for group in 0..3 {
            listener.client.watch(GroupId(group), name(group, "t").as_bytes());
        }
        let sink: Weak<dyn Sink> = Rc::downgrade(&(listener.clone() as Rc<dyn Sink>));
        let starter: rt::Starter = Rc::new(|task| rt::spawn(task, Fatal));
        listener.client.start(sink, &starter);
        work(listener.clone()).await;
        listener.client.close();
    })
    .unwrap();
}

impl Listener {
    /// Sends a command, and says under which tag.
    pub(crate) fn command(&self, group: u16, parts: &[&str]) -> u64 {
        let tag = self.next_tag.replace(self.next_tag.get() + 1);
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.client.command(slot(group), tag, &parts);
        tag
    }

    /// Appends to a group's list, and says under which tag: that is what is appended.
    pub(crate) fn append(&self, group: u16) -> u64 {
        let tag = self.next_tag.replace(self.next_tag.get() + 1);
        let (number, topic) = (tag.to_string(), name(group, "t"));
        let verb = self.client.publish_command();
        let keys = [name(group, "g"), name(group, "s"), name(group, &number)];
        let keys = keys.each_ref().map(|key| key.as_bytes());
        let arguments = [number.as_bytes(), verb.as_bytes(), topic.as_bytes()];
        self.client.evalsha(slot(group), tag, &APPEND, keys.into_iter(), arguments.into_iter());
        tag
    }

    /// How a command ended, once it has.
    pub(crate) async fn outcome(&self, tag: u64) -> Outcome {
        self.until("a command is answered", || self.outcomes.borrow().contains_key(&tag)).await;
        self.outcomes.borrow()[&tag].clone()
    }

    /// Waits until all groups are heard.
    pub(crate) async fn until_up(&self) {
        self.until("all groups are up", || self.groups.iter().all(|group| group.is_up.get())).await;
    }

    /// Waits until `is_so` says yes.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let ends = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < ends, "waited in vain until {what}");
            rt::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Sink for Listener {
    fn reply(&self, tag: u64, reply: Result<Reply<'_>, StoreTrouble>) {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let outcome = match reply {
            Ok(Reply::Text(value)) => Outcome::Done(text(value)),
            Ok(Reply::Integer(value)) => Outcome::Done(value.to_string()),
            Ok(Reply::List(list)) => Outcome::Done(
                list.iter().map(|one| text(one.as_text().unwrap())).collect::<Vec<_>>().join(" "),
            ),
            Ok(Reply::Error(error)) => Outcome::Wrong(text(error)),
            Ok(other) => Outcome::Done(format!("{other:?}")),
            Err(trouble) => Outcome::Trouble(trouble),
        };
        let former = self.outcomes.borrow_mut().insert(tag, outcome);
        assert_eq!(former, None, "command {tag} was answered twice");
    }

    fn message(&self, topic: &[u8], payload: &[u8]) {
        let group = (0..3).find(|group| topic == name(*group, "t").as_bytes()).unwrap();
        let text = String::from_utf8_lossy(payload).into_owned();
        self.groups[usize::from(group)].heard.borrow_mut().push(text);
    }

    fn watched(&self, _: GroupId, _: &[u8]) {}

    fn group_up(&self, group: GroupId) {
        let group = &self.groups[usize::from(group.0)];
        assert!(!group.is_up.replace(true), "it was up");
        group.ups.set(group.ups.get() + 1);
        group.up_at.set(Some(Instant::now()));
    }

    fn group_down(&self, group: GroupId) {
        let group = &self.groups[usize::from(group.0)];
        assert!(group.is_up.replace(false), "it was down");
        group.down_at.set(Some(Instant::now()));
    }
}
