//! What the way through Redis costs: publishes a second through one server, the processor time of this client for each,
//! that of the server, and how long one takes there and back. A server is started for it on this machine.
//!
//! Not a matter for criterion: a server and a client that both want a core are measured over seconds, by counting.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark without its Redis fails")]

#[path = "setup/processor.rs"]
mod processor;
#[path = "../tests/cluster/redis.rs"]
mod redis;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use core_shards::cursor::RunId;
use core_shards::ids::MessageId;
use core_shards::store::{Append, Topic};
use core_shards::{ChannelName, CoreId, Placement, StoreEvent, StoreRequest};
use processor::{of_process, of_this_thread};
use realtime::redis::{Host, RedisSettings};
use realtime::rt::{self, Driver, Guard, LocalNotify, Starter, Yield};
use realtime::store::{Store, StoreSettings};
use redis::{Options, Redis};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of a publication, about those of a chat message.
const PAYLOAD: [u8; 200] = [b'x'; 200];
const CHANNELS: usize = 100;
const PARTITIONS: u16 = 4;
/// How many publications are on their way at most.
const WINDOW: usize = 4_096;
/// Publications of a turn.
const TURN: usize = 64;

fn main() {
    // Tests run benchmarks, too, in order to see that they build and begin.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 4 } else { 0 };
    let server = Redis::start(Options::default());
    rt::run(Driver::Epoll, || measure(server, Duration::from_secs(seconds))).unwrap();
}

/// A node that is nothing but a store.
struct Bench {
    store: Rc<Store>,
    channels: Vec<ChannelName>,
    heard: Cell<usize>,
    answered: Cell<usize>,
    opened: Cell<usize>,
    news: LocalNotify,
    /// When publications that are on their way left, and how long the others took.
    departures: RefCell<std::collections::VecDeque<Instant>>,
    times: RefCell<Vec<Duration>>,
    number: Cell<u32>,
}

struct Broken;

impl Guard for Broken {
    fn handle_panic(&self, _: Box<dyn Any + Send>) {
        std::process::exit(1);
    }
}

/// One kind of publication.
#[derive(Clone, Copy)]
enum Sort {
    Volatile,
    Durable,
    Once,
}

async fn measure(server: Redis, time: Duration) {
    let bench = Bench::start(server.port()).await;
    for (name, sort) in [
        ("volatile", Sort::Volatile),
        ("durable", Sort::Durable),
        ("durable, each with a key of idempotency", Sort::Once),
    ] {
        let begin = (Instant::now(), of_this_thread(), of_process(server.pid()), bench.heard.get());
        let pause = Yield::new().unwrap();
        let mut sent = 0;
        while sent == 0 || begin.0.elapsed() < time {
            while sent + TURN > bench.heard.get() - begin.3 + WINDOW {
                bench.news.notified().await;
            }
            bench.publish(sort, sent, TURN);
            sent += TURN;
            pause.pass().await;
        }
        bench.wait_for(begin.3 + sent).await;
        let wall = begin.0.elapsed();
        let each = |used: Duration| used.as_secs_f64() * 1e6 / sent as f64;
        println!(
            "{name}: {:.0}/s; a publication takes {:.2} us of this client (sent, heard again), {:.2} us of Redis",
            sent as f64 / wall.as_secs_f64(),
            each(of_this_thread() - begin.1),
            each(of_process(server.pid()) - begin.2),
        );
    }
    for rate in [1_000, 10_000] {
        bench.take_times(rate, time).await;
    }
}

impl Bench {
    async fn start(port: u16) -> Rc<Self> {
        let settings = StoreSettings {
            redis: RedisSettings {
                hosts: vec![Host { name: "127.0.0.1".to_owned(), port }],
                is_tls: false,
                ca_file: None,
                username: None,
                password: None,
                database: 0,
                client_name: "bench".to_owned(),
            },
            prefix: "bench".to_owned(),
            partitions: PARTITIONS,
            history_size_max: 1_000,
            stream_life_ms: 300_000,
            session_life_ms: 120_000,
            absence_life_ms: 300_000,
        };
        let placement = Placement::new(1, (1, 2)).joined(PARTITIONS);
        let store = Store::new(settings, CoreId(0), placement, RunId::from_random(1), Arc::default());
        let bench = Rc::new(Self {
            store,
            channels: (0..CHANNELS).map(|number| format!("channel-{number}").into()).collect(),
            heard: Cell::default(),
            answered: Cell::default(),
            opened: Cell::default(),
            news: LocalNotify::default(),
            departures: RefCell::default(),
            times: RefCell::default(),
            number: Cell::default(),
        });
        let starter: Starter = Rc::new(|task| rt::spawn(task, Broken));
        let own = Rc::downgrade(&bench);
        let listener = move |events| {
            if let Some(bench) = own.upgrade() {
                bench.hear(events);
            }
        };
        bench.store.start(&starter, Box::new(listener));
        while bench.opened.get() < CHANNELS {
            bench.news.notified().await;
        }
        bench
    }

    fn hear(&self, events: Vec<StoreEvent>) {
        for event in events {
            match event {
                StoreEvent::Up(partition) => {
                    let placement = Placement::new(1, (1, 2)).joined(PARTITIONS);
                    let of =
                        self.channels.iter().filter(|name| placement.partition_of(name) == Some(partition));
                    let answers = self.store.submit(of.cloned().map(StoreRequest::Open).collect());
                    assert!(answers.is_empty(), "a partition that is heard opens its channels");
                }
                StoreEvent::Opened(_) => self.opened.set(self.opened.get() + 1),
                StoreEvent::Fed(_) | StoreEvent::Signal(..) => {
                    self.heard.set(self.heard.get() + 1);
                    if let Some(departure) = self.departures.borrow_mut().pop_front() {
                        self.times.borrow_mut().push(departure.elapsed());
                    }
                }
                StoreEvent::Appended { .. } => self.answered.set(self.answered.get() + 1),
                other => panic!("{other:?}"),
            }
        }
        self.news.notify();
    }

    fn publish(&self, sort: Sort, first: usize, count: usize) {
        let placement = Placement::new(1, (1, 2)).joined(PARTITIONS);
        let request = |place: usize| {
            let channel = self.channels[place % CHANNELS].clone();
            if let Sort::Volatile = sort {
                return StoreRequest::Signal(Topic::Channel(channel), PAYLOAD.to_vec());
            }
            let number = self.number.get() + 1;
            self.number.set(number);
            let is_once = matches!(sort, Sort::Once);
            StoreRequest::Append(Box::new(Append {
                partition: placement.partition_of(&channel).unwrap(),
                idempotency: is_once.then(|| format!("ada\0{channel}\0{number}").into()),
                channel,
                id: MessageId::new(number.into(), 1),
                number,
                is_provisional: false,
                is_out_of_turn: false,
                is_kept: true,
                payload: PAYLOAD.to_vec(),
            }))
        };
        let answers = self.store.submit((first..first + count).map(request).collect());
        assert!(answers.is_empty(), "what is heard is published");
    }

    async fn wait_for(&self, heard: usize) {
        while self.heard.get() < heard {
            self.news.notified().await;
        }
    }

    /// How long publications take to come back, at a steady rate.
    async fn take_times(&self, rate: usize, time: Duration) {
        self.times.borrow_mut().clear();
        let (begin, heard, mut sent) = (Instant::now(), self.heard.get(), 0);
        while sent == 0 || begin.elapsed() < time {
            rt::sleep(Duration::from_millis(1)).await;
            let due = (begin.elapsed().as_secs_f64() * rate as f64) as usize;
            while sent < due {
                // One partition only, so that they come back in the order in which they left.
                self.departures.borrow_mut().push_back(Instant::now());
                self.publish(Sort::Durable, 0, 1);
                sent += 1;
            }
        }
        self.wait_for(heard + sent).await;
        let mut times = self.times.borrow_mut();
        times.sort();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        println!("there and back at {rate}/s: p50 {:?}, p99 {:?}", at(50), at(99));
    }
}
