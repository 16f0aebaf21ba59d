//! One chat client on a thread of its own: joins its channels, says what it is told to say at its pace, answers pings,
//! comes back when it is cut off as stock clients do, and writes everything into its diary.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::diary::{Diary, Fate, Line, Return, Said, Way};
use super::wire::Wire;

/// How long a node may take to answer while a session is opened, before the client goes elsewhere.
const ANSWER: Duration = Duration::from_secs(3);
/// After how long an unanswered message is said again on the same connection.
const RETRY: Duration = Duration::from_secs(5);

/// What a client does.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its user id.
    pub(crate) name: String,
    /// Where it connects.
    pub(crate) address: SocketAddr,
    /// The channels that it is in, and talks in.
    pub(crate) channels: Vec<String>,
    /// The time between two messages; `None` for one who listens.
    pub(crate) pace: Option<Duration>,
}

/// A running client.
pub(crate) struct Client {
    diary: Arc<Mutex<Diary>>,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

/// What the test tells the client from outside.
#[derive(Default)]
struct Orders {
    is_silent: AtomicBool,
    is_over: AtomicBool,
    is_connected: AtomicBool,
    events: Mutex<Vec<String>>,
}

impl Client {
    /// Starts a client.
    pub(crate) fn start(part: Part) -> Self {
        let diary = Arc::new(Mutex::new(Diary::new(&part.name)));
        let orders = Arc::new(Orders::default());
        let mut life = Life::new(part, diary.clone(), orders.clone());
        let thread = Some(std::thread::spawn(move || life.run()));
        Self { diary, orders, thread }
    }

    /// What it has heard so far.
    pub(crate) fn diary(&self) -> MutexGuard<'_, Diary> {
        self.diary.lock().unwrap()
    }

    /// Whether it is connected and in all its channels.
    pub(crate) fn is_ready(&self) -> bool {
        self.orders.is_connected.load(Ordering::Relaxed)
    }

    /// Says something beside its messages: a Socket.IO event as JSON array.
    pub(crate) fn emit(&self, event: &Value) {
        self.orders.events.lock().unwrap().push(format!("42{event}"));
    }

    /// Lets it say nothing new.
    pub(crate) fn hush(&self) {
        self.orders.is_silent.store(true, Ordering::Relaxed);
    }

    /// Lets it talk again.
    pub(crate) fn talk(&self) {
        self.orders.is_silent.store(false, Ordering::Relaxed);
    }

    /// Ends it, without a goodbye. Returns its diary.
    pub(crate) fn end(mut self) -> Diary {
        self.orders.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "a client of the test broke");
        }
        std::mem::take(&mut *self.diary())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.orders.is_over.store(true, Ordering::Relaxed);
    }
}

/// What the client's thread owns.
struct Life {
    part: Part,
    diary: Arc<Mutex<Diary>>,
    orders: Arc<Orders>,
    /// The session's secret id and the cursor of the last event, for taking it up again.
    session: Option<(String, String)>,
    /// Epoch and offset by channel.
    positions: BTreeMap<String, (String, u64)>,
    /// Channels that the session is in.
    joined: BTreeSet<String>,
    /// Marks by acknowledgement id.
    asked: BTreeMap<u64, String>,
    ack_count: u64,
    said_count: u64,
    next_at: Instant,
    retry_at: Instant,
    /// How long the node may be silent: its ping interval and timeout, as it says them.
    silence_max: Duration,
    heard_at: Instant,
    chance: u64,
}

impl Life {
    fn new(part: Part, diary: Arc<Mutex<Diary>>, orders: Arc<Orders>) -> Self {
        let chance = part.name.bytes().fold(0x9E37_79B9_7F4A_7C15, |sum: u64, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let now = Instant::now();
        let (session, positions, joined, asked) = (None, BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let (ack_count, said_count) = (0, 0);
        let (next_at, retry_at, heard_at, silence_max) = (now, now, now, ANSWER);
        Self {
            part,
            diary,
            orders,
            session,
            positions,
            joined,
            asked,
            ack_count,
            said_count,
            next_at,
            retry_at,
            silence_max,
            heard_at,
            chance,
        }
    }

    fn run(&mut self) {
        let mut lost_at = None;
        while !self.is_over() {
            match self.live(lost_at) {
                Ok(()) => return,
                Err(error) => {
                    let was_ready = self.orders.is_connected.swap(false, Ordering::Relaxed);
                    if was_ready || lost_at.is_none() {
                        lost_at = Some(Instant::now());
                    }
                    let name = "cut".to_owned();
                    let why = Value::String(error.to_string());
                    self.diary().others.push((Instant::now(), name, why));
                    std::thread::sleep(Duration::from_millis(200 + self.below(400)));
                }
            }
        }
    }

    /// One connection, from its beginning to its end; returns when the client is to end.
    fn live(&mut self, lost_at: Option<Instant>) -> Result<()> {
        let mut wire = Wire::open(self.part.address)?;
        let recovered = self.connect(&mut wire)?;
        if let Some(lost_at) = lost_at {
            self.diary().returns.push(Return { lost_at, took: lost_at.elapsed(), recovered });
        }
        if !recovered {
            self.joined.clear();
        }
        // A session that is taken up may have lost its connection before a join was answered.
        self.join_all(&mut wire)?;
        self.orders.is_connected.store(true, Ordering::Relaxed);
        self.say_again(&mut wire)?;
        while !self.is_over() {
            for event in std::mem::take(&mut *self.orders.events.lock().unwrap()) {
                wire.send(&event)?;
            }
            self.say_what_is_due(&mut wire)?;
            if let Some(text) = wire.hear(self.next_look())? {
                self.heard_at = Instant::now();
                self.take(&text, &mut wire)?;
            } else if self.heard_at.elapsed() > self.silence_max {
                return Err(std::io::Error::other("the node is silent"));
            }
        }
        wire.cut();
        Ok(())
    }

    /// Says the next message and repeats those without an answer, each when its time has come.
    fn say_what_is_due(&mut self, wire: &mut Wire) -> Result<()> {
        let now = Instant::now();
        let is_silent = self.orders.is_silent.load(Ordering::Relaxed);
        if let Some(pace) = self.part.pace.filter(|_| !is_silent && self.next_at <= now) {
            self.next_at = (self.next_at + pace).max(now);
            self.say(wire)?;
        }
        if self.retry_at <= now { self.say_again(wire) } else { Ok(()) }
    }

    /// Until when to listen before something else may be due.
    fn next_look(&self) -> Instant {
        let now = Instant::now();
        let pause = now + Duration::from_millis(50);
        self.part.pace.map_or(pause, |_| pause.min(self.next_at.max(now + Duration::from_millis(2))))
    }

    /// Opens the session or takes up the old one. Returns whether it is the same.
    fn connect(&mut self, wire: &mut Wire) -> Result<bool> {
        let open = self.expect(wire, "0{")?;
        let open: Value = serde_json::from_str(&open[1..])?;
        let ms = |name: &str| open[name].as_u64().unwrap_or_default();
        self.silence_max = Duration::from_millis(ms("pingInterval") + ms("pingTimeout"));
        self.heard_at = Instant::now();
        let mut auth = json!({"userId": self.part.name, "recovery": true});
        if let Some((pid, cursor)) = &self.session {
            auth["pid"] = json!(pid);
            auth["offset"] = json!(cursor);
        }
        wire.send(&format!("40{auth}"))?;
        let answer = self.expect(wire, "40")?;
        let answer: Value = serde_json::from_str(&answer[2..])?;
        let pid = answer["pid"].as_str().unwrap_or_default().to_owned();
        let recovered = self.session.as_ref().is_some_and(|(before, _)| *before == pid);
        if !recovered {
            self.session = Some((pid, String::new()));
        }
        Ok(recovered)
    }

    /// Joins every channel that it is not in, with its position where it has one.
    fn join_all(&mut self, wire: &mut Wire) -> Result<()> {
        self.asked.clear();
        for channel in self.part.channels.clone() {
            if self.joined.contains(&channel) {
                continue;
            }
            let mut join = json!({"channelId": channel});
            if let Some((epoch, offset)) = self.positions.get(&channel) {
                join["since"] = json!({"epoch": epoch, "offset": offset});
            }
            self.ack_count += 1;
            let id = self.ack_count;
            wire.send(&format!("42{id}{}", json!(["channel:join", join])))?;
            let answer = self.expect(wire, &format!("43{id}["))?;
            self.take_join(&channel, &answer[format!("43{id}").len()..])?;
        }
        Ok(())
    }

    fn take_join(&mut self, channel: &str, answer: &str) -> Result<()> {
        let answer: Value = serde_json::from_str(answer)?;
        let standing = &answer[0]["data"];
        if answer[0]["success"] != json!(true) {
            return Err(std::io::Error::other(format!("join refused: {}", answer[0]["error"])));
        }
        let epoch = standing["epoch"].as_str().unwrap_or_default().to_owned();
        let recovered = standing["recovered"].as_bool();
        let offset = standing["offset"].as_u64().unwrap_or_default();
        self.diary().note(channel, Line::Joined { epoch: epoch.clone(), offset, recovered });
        for message in standing["messages"].as_array().into_iter().flatten() {
            self.note_message(message, Way::Since);
        }
        self.positions.insert(channel.to_owned(), (epoch, offset));
        self.joined.insert(channel.to_owned());
        Ok(())
    }

    /// Listens until a packet begins like this, and handles all others meanwhile.
    fn expect(&mut self, wire: &mut Wire, start: &str) -> Result<String> {
        let ends = Instant::now() + ANSWER;
        loop {
            let Some(text) = wire.hear(ends)? else {
                return Err(std::io::Error::other(format!("no {start} within {ANSWER:?}")));
            };
            if text.starts_with(start) {
                return Ok(text);
            }
            if text.starts_with("44") {
                return Err(std::io::Error::other(text));
            }
            self.take(&text, wire)?;
        }
    }

    /// Says the next message.
    fn say(&mut self, wire: &mut Wire) -> Result<()> {
        let index = usize::try_from(self.said_count).unwrap_or_default() % self.part.channels.len();
        let channel = self.part.channels[index].clone();
        let mark = format!("{}:{}", self.part.name, self.said_count);
        self.said_count += 1;
        let said = Said { channel, at: Instant::now(), settled_at: None, fate: Fate::Open };
        self.diary().said.insert(mark.clone(), said);
        self.send(wire, &mark)
    }

    /// Says again what nobody has answered.
    fn say_again(&mut self, wire: &mut Wire) -> Result<()> {
        self.retry_at = Instant::now() + RETRY;
        let overdue = self.retry_at - RETRY - RETRY / 2;
        let is_new = !self.asked.is_empty();
        let mut open: Vec<String> = {
            let diary = self.diary();
            let open = diary.said.iter().filter(|(_, said)| said.fate == Fate::Open);
            open.filter(|(_, said)| !is_new || said.at <= overdue).map(|(mark, _)| mark.clone()).collect()
        };
        // In the order in which they were said.
        open.sort_by_key(|mark| mark.rsplit(':').next().and_then(|number| number.parse::<u64>().ok()));
        open.into_iter().try_for_each(|mark| self.send(wire, &mark))
    }

    fn send(&mut self, wire: &mut Wire, mark: &str) -> Result<()> {
        self.ack_count += 1;
        let id = self.ack_count;
        self.asked.insert(id, mark.to_owned());
        let channel = self.diary().said[mark].channel.clone();
        let message = json!({"channelId": channel, "content": mark, "clientMessageId": mark});
        wire.send(&format!("42{id}{}", json!(["message:send", message])))
    }

    /// Handles a packet.
    fn take(&mut self, text: &str, wire: &mut Wire) -> Result<()> {
        if text == "2" {
            return wire.send("3");
        }
        if let Some(event) = text.strip_prefix("42") {
            let event: Value = serde_json::from_str(event)?;
            self.take_event(&event);
        } else if let Some(ack) = text.strip_prefix("43") {
            let start = ack.find('[').unwrap_or(ack.len());
            let id = ack[..start].parse().unwrap_or_default();
            if let Some(mark) = self.asked.remove(&id) {
                let answer: Value = serde_json::from_str(&ack[start..])?;
                self.settle(&mark, &answer[0]);
            }
        } else if text.starts_with("41") || text == "1" {
            return Err(std::io::Error::other("the session was ended"));
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Value) {
        let name = event[0].as_str().unwrap_or_default();
        let body = &event[1];
        if let (Some(cursor), Some((_, last))) = (event[2].as_str(), &mut self.session) {
            *last = cursor.to_owned();
        }
        match name {
            "message" => self.note_message(body, Way::Event),
            "sync:required" => {
                let channel = body["channelId"].as_str().unwrap_or_default().to_owned();
                let epoch = body["epoch"].as_str().unwrap_or_default().to_owned();
                let offset = body["offset"].as_u64().unwrap_or_default();
                let reason = body["reason"].as_str().unwrap_or_default().to_owned();
                self.diary().note(&channel, Line::Announced { epoch: epoch.clone(), offset, reason });
                self.positions.insert(channel, (epoch, offset));
            }
            "channel:joined" | "channel:members" => {}
            _ => self.diary().others.push((Instant::now(), name.to_owned(), body.clone())),
        }
    }

    fn note_message(&mut self, message: &Value, way: Way) {
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let channel = text("channelId");
        let offset = message["offset"].as_u64().unwrap_or_default();
        if let Some((_, last)) = self.positions.get_mut(&channel) {
            *last = offset.max(*last);
        }
        let (id, mark) = (text("id"), text("content"));
        self.diary().note(&channel, Line::Message { id, mark, offset, way });
    }

    fn settle(&mut self, mark: &str, answer: &Value) {
        let fate = if answer["success"] == json!(true) {
            let id = answer["data"]["id"].as_str().unwrap_or_default().to_owned();
            Fate::Acked { id, offset: answer["data"]["offset"].as_u64().unwrap_or_default() }
        } else {
            Fate::Refused(answer["error"]["code"].as_str().unwrap_or("without a code").to_owned())
        };
        let mut diary = self.diary();
        let Some(said) = diary.said.get_mut(mark) else { return };
        // Answers to the same message said twice are the same.
        let complaint = match (&said.fate, &fate) {
            (Fate::Acked { id, .. }, Fate::Acked { id: other, .. }) if id != other => {
                Some(format!("{mark} was accepted as {id} and as {other}"))
            }
            _ => None,
        };
        if !matches!(said.fate, Fate::Acked { .. }) {
            (said.fate, said.settled_at) = (fate, Some(Instant::now()));
        }
        diary.complaints.extend(complaint);
    }

    fn diary(&self) -> MutexGuard<'_, Diary> {
        self.diary.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.orders.is_over.load(Ordering::Relaxed)
    }

    /// A number below `bound`; the same row of them for the same name.
    fn below(&mut self, bound: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % bound
    }
}
