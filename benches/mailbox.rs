//! Guards a letter between cores: 225 instructions (38 ns) through a lane, 85 ns in a stream, 22 us to sleepers and back.

#[path = "setup/measure.rs"]
mod measure;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use core_shards::ids::{Lane, MessageId};
use core_shards::limits::MAILBOX_LETTERS_MAX;
use core_shards::mail::Deliver;
use core_shards::publication::{FormKey, Frames, Publication};
use core_shards::{CoreId, Mail, Offset, RoomId};
use criterion::{BenchmarkId, Criterion, Throughput};
use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::chat::event::Kind;
use realtime::rt::{self, Doorbell, Driver, DriverPreference, choose_driver};

/// A letter with its sender, as mailboxes hold it; `None` ends the receiver.
type Letter = Option<(CoreId, Mail)>;

/// One core's mailbox: a lane and a doorbell.
struct Mailbox {
    letters: Sender<Letter>,
    letters_end: Receiver<Letter>,
    doorbell: Doorbell,
}

impl Mailbox {
    fn new() -> Arc<Self> {
        let (letters, letters_end) = bounded(MAILBOX_LETTERS_MAX);
        Arc::new(Self { letters, letters_end, doorbell: Doorbell::default() })
    }

    fn put(&self, letter: Letter) {
        assert!(self.letters.try_send(letter).is_ok(), "fewer letters are on their way than fit");
    }
}

fn letter(publication: &Arc<Publication>) -> Letter {
    let room = RoomId { index: 0, generation: 0 };
    Some((CoreId(1), Mail::Deliver(Deliver { room, publication: publication.clone() })))
}

fn publication() -> Arc<Publication> {
    let mut frames = Frames::default();
    frames.add(FormKey::PLAIN, |out| out.resize(400, b'x'));
    Arc::new(Publication {
        lane: Lane(0),
        seq: 1,
        origin: None,
        channel: "general".into(),
        kind: Kind::Message,
        id: MessageId::ZERO,
        offset: Some(Offset(1)),
        timestamp_ms: 0,
        body: Vec::new(),
        attachments: Vec::new(),
        frames,
        is_belated: false,
        received_us: 0,
    })
}

/// A core that answers each burst with one letter, once all of it has come.
async fn echo(mine: Arc<Mailbox>, theirs: Arc<Mailbox>, burst: usize) {
    let publication = publication();
    let mut taken_count = 0;
    loop {
        mine.doorbell.answered().await;
        while let Ok(letter_to_me) = mine.letters_end.try_recv() {
            if letter_to_me.is_none() {
                return;
            }
            taken_count += 1;
            if taken_count == burst {
                taken_count = 0;
                theirs.put(letter(&publication));
                theirs.doorbell.ring();
            }
        }
    }
}

/// The time that `burst_count` bursts take, each sent when the last one was answered.
async fn bursts(mine: Arc<Mailbox>, theirs: Arc<Mailbox>, burst: usize, burst_count: u64) -> Duration {
    let publication = publication();
    let begun = Instant::now();
    for _ in 0..burst_count {
        for _ in 0..burst {
            theirs.put(letter(&publication));
        }
        theirs.doorbell.ring();
        mine.doorbell.answered().await;
        assert!(mine.letters_end.try_recv().is_ok(), "a ring follows its letters");
    }
    begun.elapsed()
}

fn between_two_cores(driver: Driver, burst: usize, burst_count: u64) -> Duration {
    let (mine, theirs) = (Mailbox::new(), Mailbox::new());
    let peer = thread::spawn({
        let (mine, theirs) = (mine.clone(), theirs.clone());
        move || rt::run(driver, || echo(theirs, mine, burst)).expect("a reactor could be built before")
    });
    let took = rt::run(driver, || bursts(mine, theirs.clone(), burst, burst_count));
    theirs.put(None);
    theirs.doorbell.ring();
    peer.join().expect("the echo ends when it is told to");
    took.expect("a reactor could be built before")
}

fn letters(criterion: &mut Criterion) {
    let driver = choose_driver(DriverPreference::Auto, 2).expect("one of the two drivers works").driver;
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(1));
    let (mailbox, publication) = (Mailbox::new(), publication());
    group.bench_function("lane", |bencher| {
        bencher.iter(|| {
            mailbox.put(letter(&publication));
            mailbox.letters_end.try_recv()
        });
    });
    // A burst of one is there and back to a core that sleeps: two wake-ups.
    for burst in [1, 1_024] {
        group.throughput(Throughput::Elements(burst as u64));
        group.bench_function(BenchmarkId::new(driver.name(), burst), |bencher| {
            bencher.iter_custom(|burst_count| between_two_cores(driver, burst, burst_count));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = measure::briefly();
    letters(&mut criterion);
    criterion.final_summary();
}
