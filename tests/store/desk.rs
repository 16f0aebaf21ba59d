//! A node that is nothing but a store: requests go to a thread with a reactor, events come back.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use core_shards::cursor::RunId;
use core_shards::ids::MessageId;
use core_shards::store::{Append, Opened, Stored, StoredPlace};
use core_shards::{CoreId, Partition, Placement, StoreEvent, StoreRequest};
use realtime::redis::{Host, RedisSettings};
use realtime::rt::{self, Driver, Guard, Starter};
use realtime::store::{Store, StoreSettings};

use crate::redis::PATIENCE;

const PARTITIONS: u16 = 4;

pub(crate) struct Desk {
    run: RunId,
    number: u64,
    requests: Option<Sender<StoreRequest>>,
    events: Receiver<StoreEvent>,
    /// What came while something else was waited for.
    aside: Vec<StoreEvent>,
    thread: Option<JoinHandle<()>>,
}

/// Says what went wrong in a task, and lets the test find out that nothing comes.
struct Loud;

impl Guard for Loud {
    fn handle_panic(&self, _: Box<dyn Any + Send>) {
        eprintln!("a task of a store ended by a panic");
    }
}

/// The run of a node.
pub(crate) fn run(number: u64) -> RunId {
    RunId::from_random(number)
}

/// The id of a publication.
pub(crate) fn id(node: u64, number: u32) -> MessageId {
    MessageId::new(1_000 + u64::from(number), node.into())
}

/// A publication that is kept.
pub(crate) fn append(desk: &Desk, channel: &str, number: u32, payload: &str) -> StoreRequest {
    StoreRequest::Append(Box::new(Append {
        channel: channel.into(),
        partition: desk.partition_of(channel),
        id: id(desk.number, number),
        number,
        is_provisional: false,
        is_out_of_turn: false,
        is_kept: true,
        idempotency: None,
        payload: payload.into(),
    }))
}

impl Desk {
    /// Starts a store and waits until it hears all partitions.
    pub(crate) fn start(ports: &[u16], number: u64) -> Self {
        Self::start_as(ports, number, None)
    }

    /// The same as a user with a password.
    pub(crate) fn start_as(ports: &[u16], number: u64, who: Option<(&'static str, &'static str)>) -> Self {
        let (requests, wanted) = channel();
        let (heard, events) = channel();
        let ports = ports.to_vec();
        let thread = std::thread::spawn(move || {
            rt::run(Driver::Epoll, || serve(ports, who, run(number), wanted, heard)).unwrap();
        });
        let mut desk = Self {
            run: run(number),
            number,
            requests: Some(requests),
            events,
            aside: vec![],
            thread: Some(thread),
        };
        for _ in 0..PARTITIONS {
            desk.expect("every partition", |event| matches!(event, StoreEvent::Up(_)).then_some(()));
        }
        desk
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    pub(crate) fn partition_of(&self, name: &str) -> Partition {
        placement().partition_of(name).unwrap()
    }

    /// The name of another channel of the same partition.
    pub(crate) fn neighbour(&self, name: &str, place: usize) -> String {
        let names = (0..).map(|number| format!("{name}-{number}"));
        names.filter(|other| self.partition_of(other) == self.partition_of(name)).nth(place).unwrap()
    }

    pub(crate) fn ask(&self, request: StoreRequest) {
        self.requests.as_ref().unwrap().send(request).unwrap();
    }

    /// The next event, whatever it is.
    pub(crate) fn next(&mut self, what: &str) -> StoreEvent {
        if !self.aside.is_empty() {
            return self.aside.remove(0);
        }
        self.events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// The first event that is wanted; others are kept for later.
    pub(crate) fn expect<R>(&mut self, what: &str, mut wanted: impl FnMut(StoreEvent) -> Option<R>) -> R {
        let mut copies = std::mem::take(&mut self.aside).into_iter();
        let mut passed = Vec::new();
        loop {
            let event = copies.next().unwrap_or_else(|| {
                self.events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited in vain for {what}"))
            });
            let copy = copied(&event);
            match wanted(event) {
                Some(found) => {
                    self.aside = passed.into_iter().chain(copies).collect();
                    return found;
                }
                None => passed.extend(copy),
            }
        }
    }

    pub(crate) fn open(&mut self, channel: &str) -> Opened {
        self.ask(StoreRequest::Open(channel.into()));
        self.expect("a channel", |event| match event {
            StoreEvent::Opened(opened) => Some(*opened),
            StoreEvent::Refused(refused) => panic!("{refused:?}"),
            _ => None,
        })
    }

    pub(crate) fn append(&mut self, channel: &str, number: u32, payload: &str) -> StoredPlace {
        self.ask(append(self, channel, number, payload));
        self.appended(number).0
    }

    pub(crate) fn append_unkept(&mut self, channel: &str, number: u32, payload: &str) {
        self.ask(changed(append(self, channel, number, payload), |append| append.is_kept = false));
        self.appended(number);
    }

    pub(crate) fn append_out_of_turn(&mut self, channel: &str, number: u32, payload: &str) {
        self.ask(changed(append(self, channel, number, payload), |append| append.is_out_of_turn = true));
        self.appended(number);
    }

    pub(crate) fn append_once(
        &mut self,
        channel: &str,
        number: u32,
        payload: &str,
        key: &str,
    ) -> (StoredPlace, Option<MessageId>) {
        let once = |append: &mut Append| append.idempotency = Some(key.into());
        self.ask(changed(append(self, channel, number, payload), once));
        self.appended(number)
    }

    fn appended(&mut self, wanted: u32) -> (StoredPlace, Option<MessageId>) {
        self.expect("the place of a publication", |event| match event {
            StoreEvent::Appended { number, place, known_as, .. } if number == wanted => {
                Some((place, known_as))
            }
            StoreEvent::Refused(refused) => panic!("{refused:?}"),
            _ => None,
        })
    }

    /// The next publication of a channel.
    pub(crate) fn heard(&mut self, channel: &str) -> Stored {
        self.expect("a publication", |event| match event {
            StoreEvent::Fed(stored) if &*stored.channel == channel => Some(*stored),
            _ => None,
        })
    }

    pub(crate) fn keep_session(&mut self, pid: &str, record: &[u8]) {
        self.ask(StoreRequest::KeepSession { pid: pid.into(), record: record.to_vec(), ticket: 1 });
        // Other partitions' connections are the same one, so an answer means that all before it was done.
        self.ask(StoreRequest::Renew { generation: 0, is_last: false });
        self.expect("the leases", |event| matches!(event, StoreEvent::Leases { .. }).then_some(()));
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn changed(request: StoreRequest, change: impl FnOnce(&mut Append)) -> StoreRequest {
    let StoreRequest::Append(mut append) = request else { panic!("no append") };
    change(&mut append);
    StoreRequest::Append(append)
}

/// Events that a test may want later are kept.
fn copied(event: &StoreEvent) -> Option<StoreEvent> {
    match event {
        StoreEvent::Fed(stored) => Some(StoreEvent::Fed(Box::new(Stored {
            channel: stored.channel.clone(),
            partition: stored.partition,
            place: stored.place,
            payload: stored.payload.clone(),
        }))),
        _ => None,
    }
}

fn placement() -> Placement {
    Placement::new(1, (1, 2)).joined(PARTITIONS)
}

async fn serve(
    ports: Vec<u16>,
    who: Option<(&str, &str)>,
    run: RunId,
    wanted: Receiver<StoreRequest>,
    heard: Sender<StoreEvent>,
) {
    let settings = StoreSettings {
        redis: RedisSettings {
            hosts: ports.into_iter().map(|port| Host { name: "127.0.0.1".to_owned(), port }).collect(),
            is_tls: false,
            ca_file: None,
            username: who.map(|(user, _)| user.to_owned()),
            password: who.map(|(_, password)| password.to_owned()),
            database: 0,
            client_name: "test".to_owned(),
        },
        prefix: "test".to_owned(),
        partitions: PARTITIONS,
        history_size_max: 1_000,
        stream_life_ms: 60_000,
        session_life_ms: 60_000,
        absence_life_ms: 60_000,
    };
    let store = Store::new(settings, CoreId(0), placement(), run, Arc::default());
    let starter: Starter = Rc::new(|task| rt::spawn(task, Loud));
    let listener = heard.clone();
    store.start(
        &starter,
        Box::new(move |events| events.into_iter().for_each(|event| drop(listener.send(event)))),
    );
    loop {
        match wanted.try_recv() {
            Ok(request) => store.submit(vec![request]).into_iter().for_each(|event| drop(heard.send(event))),
            Err(std::sync::mpsc::TryRecvError::Empty) => rt::sleep(Duration::from_millis(1)).await,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
        }
    }
}
