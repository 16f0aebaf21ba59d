//! A client with one group of topics on a reactor of its own, and everything that it was told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use core_shards::store::StoreTrouble;
use protocol::redis::{Reply, Slot};
use realtime::redis::{Client, GroupId, GroupSpec, Host, RedisSettings, Script, Sink, StoreMetrics, Trouble};
use realtime::rt;

use super::redis::{PATIENCE, Redis};

/// Says how often it ran, and what it was given.
pub(crate) static COUNT: Script =
    Script::new("return {redis.call('INCR', KEYS[1]), ARGV[1], {1, false, 'x'}}");

/// The group, and the slot that everything is in.
pub(crate) const GROUP: GroupId = GroupId(0);
pub(crate) const SLOT: Slot = Slot(0);

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

/// The client, and what it heard.
pub(crate) struct Ear {
    /// The client.
    pub(crate) client: Client,
    /// How each command ended.
    pub(crate) outcomes: RefCell<HashMap<u64, Outcome>>,
    /// What was published: topics and payloads.
    pub(crate) heard: RefCell<Vec<(String, String)>>,
    /// Topics that were told to be heard, in order.
    pub(crate) watched: RefCell<Vec<String>>,
    /// Whether the group is heard.
    pub(crate) is_up: Cell<bool>,
    /// How often it came up.
    pub(crate) ups: Cell<u32>,
    /// The core has no room for what comes.
    pub(crate) is_full: Rc<Cell<bool>>,
    /// It has room again.
    pub(crate) room: Rc<rt::WaitList>,
    next_tag: Cell<u64>,
}

/// Settings for a server on this port of the loopback.
pub(crate) fn settings(port: u16) -> RedisSettings {
    RedisSettings {
        hosts: vec![Host { name: "127.0.0.1".to_owned(), port }],
        is_tls: false,
        ca_file: None,
        username: None,
        password: None,
        database: 1,
        client_name: "ear".to_owned(),
    }
}

/// Runs `work` on a reactor with a client.
pub(crate) fn with_ear<F: Future<Output = ()>>(settings: RedisSettings, work: impl FnOnce(Rc<Ear>) -> F) {
    struct Fatal;
    impl rt::Guard for Fatal {
        fn handle_panic(&self, panic: Box<dyn std::any::Any + Send>) {
            std::panic::resume_unwind(panic);
        }
    }
    let preference = match std::env::var("REALTIME_IO_DRIVER").as_deref() {
        Ok("uring") => rt::DriverPreference::Uring,
        Ok("epoll") => rt::DriverPreference::Epoll,
        _ => rt::DriverPreference::Auto,
    };
    let driver = rt::choose_driver(preference, 1).unwrap().driver;
    rt::run(driver, || async move {
        let groups = vec![GroupSpec { slot: SLOT, canary_topic: Box::from(&b"canary"[..]) }];
        let metrics = Arc::new(StoreMetrics::default());
        let ear = Rc::new(Ear {
            client: Client::new(settings, groups, vec![&COUNT], metrics),
            outcomes: RefCell::default(),
            heard: RefCell::default(),
            watched: RefCell::default(),
            is_up: Cell::new(false),
            ups: Cell::new(0),
            is_full: Rc::default(),
            room: Rc::default(),
            next_tag: Cell::new(0),
        });
        let (is_full, room) = (ear.is_full.clone(), ear.room.clone());
        ear.client.heed(Rc::new(move || {
            let room = room.clone();
            is_full
                .get()
                .then(|| Box::pin(async move { room.next().await }) as Pin<Box<dyn Future<Output = ()>>>)
        }));
        let sink: Weak<dyn Sink> = Rc::downgrade(&(ear.clone() as Rc<dyn Sink>));
        let starter: rt::Starter = Rc::new(|task| rt::spawn(task, Fatal));
        ear.client.start(sink, &starter);
        work(ear.clone()).await;
        ear.client.close();
        let links_up = &ear.client.metrics().links_up;
        let is_answered = || ear.outcomes.borrow().len() as u64 == ear.next_tag.get();
        ear.until("everything is answered and closed", || is_answered() && links_up.get() == 0).await;
    })
    .unwrap();
}

impl Ear {
    /// Sends a command, and says under which tag.
    pub(crate) fn command(&self, parts: &[&str]) -> u64 {
        let tag = self.take_tag();
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.client.command(SLOT, tag, &parts);
        tag
    }

    /// Runs the script, and says under which tag.
    pub(crate) fn count(&self, argument: &str) -> u64 {
        let tag = self.take_tag();
        self.client.evalsha(
            SLOT,
            tag,
            &COUNT,
            [&b"count"[..]].into_iter(),
            [argument.as_bytes()].into_iter(),
        );
        tag
    }

    fn take_tag(&self) -> u64 {
        self.next_tag.replace(self.next_tag.get() + 1)
    }

    /// How a command ended, once it has.
    pub(crate) async fn outcome(&self, tag: u64) -> Outcome {
        self.until("a command is answered", || self.outcomes.borrow().contains_key(&tag)).await;
        self.outcomes.borrow()[&tag].clone()
    }

    /// Waits until the group is heard, and returns how long that took.
    pub(crate) async fn until_up(&self) -> Duration {
        self.until("the group is up", || self.is_up.get()).await
    }

    /// Waits until the group is not heard, and returns how long that took.
    pub(crate) async fn until_down(&self) -> Duration {
        self.until("the group is down", || !self.is_up.get()).await
    }

    /// Waits until this is the trouble.
    pub(crate) async fn until_trouble(&self, trouble: Trouble) {
        let metrics = self.client.metrics().clone();
        self.until(trouble.label(), || metrics.current_trouble(0) == Some(trouble)).await;
    }

    /// Waits until `is_so` says yes, and returns how long that took.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
            rt::sleep(Duration::from_millis(5)).await;
        }
        begin.elapsed()
    }

    /// Publishes something, and waits until it is heard.
    pub(crate) async fn publish_and_hear(&self, topic: &str, payload: &str) {
        let expected = (topic.to_owned(), payload.to_owned());
        self.client.publish(SLOT, topic.as_bytes(), payload.as_bytes());
        self.until("what was published is heard", || self.heard.borrow().contains(&expected)).await;
    }

    /// How many attempts to connect there were while `redis` stayed as it is for a while.
    pub(crate) async fn attempts_within(&self, time: Duration) -> u64 {
        let attempts = &self.client.metrics().attempts;
        let before = attempts.get();
        rt::sleep(time).await;
        attempts.get() - before
    }
}

/// How many connections a server has that are of clients like these.
pub(crate) fn connections(redis: &Redis) -> usize {
    redis.call(&["CLIENT", "LIST"]).text().matches("name=ear ").count()
}

impl Sink for Ear {
    fn reply(&self, tag: u64, reply: Result<Reply<'_>, StoreTrouble>) {
        let outcome = match reply {
            Ok(Reply::Error(error)) => Outcome::Wrong(String::from_utf8_lossy(error).into_owned()),
            Ok(reply) => Outcome::Done(show(reply)),
            Err(trouble) => Outcome::Trouble(trouble),
        };
        let former = self.outcomes.borrow_mut().insert(tag, outcome);
        assert_eq!(former, None, "command {tag} was answered twice");
    }

    fn message(&self, topic: &[u8], payload: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.heard.borrow_mut().push((text(topic), text(payload)));
    }

    fn watched(&self, group: GroupId, topic: &[u8]) {
        assert_eq!(group, GROUP);
        self.watched.borrow_mut().push(String::from_utf8_lossy(topic).into_owned());
    }

    fn group_up(&self, group: GroupId) {
        assert!(group == GROUP && !self.is_up.replace(true), "it was up");
        self.ups.set(self.ups.get() + 1);
    }

    fn group_down(&self, group: GroupId) {
        assert!(group == GROUP && self.is_up.replace(false), "it was down");
    }
}

fn show(reply: Reply<'_>) -> String {
    match reply {
        Reply::Text(text) | Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "-".to_owned(),
        Reply::List(list) | Reply::Map(list) => list.iter().map(show).collect::<Vec<_>>().join(" "),
    }
}
