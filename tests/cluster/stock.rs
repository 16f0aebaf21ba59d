//! Stock clients, socket.io-client as it comes, in a process of their own: what they heard goes to the same checker.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::diary::{Diary, Fate, Line, Return, Said, Way};
use super::redis::{PATIENCE, wait_until};

/// Stock clients. They end with this value.
pub(crate) struct StockClients {
    child: Child,
    orders: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
}

impl StockClients {
    /// Starts so many, each in these channels, and waits until all are in.
    #[track_caller]
    pub(crate) fn start(
        address: SocketAddr,
        prefix: &str,
        users: usize,
        channels: &[&str],
        transports: &[&str],
    ) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/socketio");
        let is_installed = folder.join("node_modules/socket.io-client").exists();
        assert!(is_installed, "run `npm ci` in tests/socketio, as tests/run.sh does");
        let plan = json!({
            "url": format!("http://{address}"),
            "prefix": prefix,
            "channels": vec![channels; users],
            "paceMs": 200,
            "transports": transports,
        });
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "node", "cluster_clients.mjs", &plan.to_string()]);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take();
        let mut words = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        words.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "the stock clients broke");
        Self { child, orders, words }
    }

    /// Lets them talk.
    pub(crate) fn talk(&mut self) {
        self.order("talk");
    }

    /// Lets them say nothing new.
    pub(crate) fn hush(&mut self) {
        self.order("hush");
    }

    /// Waits until nothing that they said waits for an answer.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        assert_eq!(self.answer().trim(), "settled", "the stock clients broke");
    }

    /// What they came to so far.
    #[track_caller]
    pub(crate) fn counts(&mut self) -> Counts {
        self.order("count");
        let answer = self.answer();
        let mut numbers = answer.split_whitespace().map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Counts { accepted: next(), heard: next(), returns: next() }
    }

    /// Waits until so many more messages were accepted.
    #[track_caller]
    pub(crate) fn wait_for_more(&mut self, count: usize) {
        let before = self.counts().accepted;
        wait_until("stock clients are accepted", || self.counts().accepted >= before + count);
    }

    fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            let _ = writeln!(orders, "{order}");
        }
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.words.read_line(&mut line).unwrap();
        line
    }

    /// Ends them. Returns what each of them heard.
    #[track_caller]
    pub(crate) fn end(mut self) -> Vec<Diary> {
        self.orders = None;
        let mut text = String::new();
        self.words.read_to_string(&mut text).unwrap();
        let clock = Clock { now: Instant::now(), now_ms: ms_since_1970() };
        text.lines().map(|line| clock.read_diary(&serde_json::from_str(line).unwrap())).collect()
    }
}

/// What stock clients came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Their messages that were accepted.
    pub(crate) accepted: usize,
    /// Messages that they heard, all together.
    pub(crate) heard: usize,
    /// How often one of them came back.
    pub(crate) returns: usize,
}

/// Lets clients that have been in the same channels since the first of them talked say nothing new, and waits until each has
/// heard everything that was accepted; the judge says what is missing if that never comes.
#[track_caller]
pub(crate) fn settle_all(stock: &mut [StockClients], members: usize) {
    stock.iter_mut().for_each(StockClients::hush);
    stock.iter_mut().for_each(StockClients::settle);
    let ends = Instant::now() + PATIENCE;
    loop {
        let counts: Vec<Counts> = stock.iter_mut().map(StockClients::counts).collect();
        let accepted: usize = counts.iter().map(|count| count.accepted).sum();
        let heard: usize = counts.iter().map(|count| count.heard).sum();
        if heard >= accepted * members || Instant::now() > ends {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for StockClients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Turns the clients' wall clock into the test's.
struct Clock {
    now: Instant,
    now_ms: u64,
}

impl Clock {
    fn at(&self, ms: &Value) -> Instant {
        let ago = self.now_ms.saturating_sub(ms.as_u64().unwrap_or_default());
        self.now.checked_sub(Duration::from_millis(ago)).unwrap_or(self.now)
    }

    fn read_diary(&self, from: &Value) -> Diary {
        let mut diary = Diary::new(&text(&from["name"]));
        for (channel, lines) in from["pages"].as_object().into_iter().flatten() {
            let lines = lines.as_array().into_iter().flatten();
            let page = lines.map(|line| (self.at(&line["at"]), read_line(line))).collect();
            diary.pages.insert(channel.clone(), page);
        }
        for (mark, said) in from["said"].as_object().into_iter().flatten() {
            let fate = match (said["id"].as_str(), said["refused"].as_str()) {
                (Some(id), _) => {
                    Fate::Acked { id: id.to_owned(), offset: said["offset"].as_u64().unwrap_or_default() }
                }
                (None, Some(code)) => Fate::Refused(code.to_owned()),
                (None, None) => Fate::Open,
            };
            let settled_at = said["settledAt"].as_u64().map(|_| self.at(&said["settledAt"]));
            let said = Said { channel: text(&said["channel"]), at: self.at(&said["at"]), settled_at, fate };
            diary.said.insert(mark.clone(), said);
        }
        for back in from["returns"].as_array().into_iter().flatten() {
            let took = Duration::from_millis(back["tookMs"].as_u64().unwrap_or_default());
            let recovered = back["recovered"] == true;
            diary.returns.push(Return { lost_at: self.at(&back["lostAt"]), took, recovered });
        }
        diary.complaints = from["complaints"].as_array().into_iter().flatten().map(text).collect();
        diary
    }
}

fn read_line(line: &Value) -> Line {
    let offset = line["offset"].as_u64().unwrap_or_default();
    match line["kind"].as_str() {
        Some("joined") => {
            Line::Joined { epoch: text(&line["epoch"]), offset, recovered: line["recovered"].as_bool() }
        }
        Some("announced") => {
            Line::Announced { epoch: text(&line["epoch"]), offset, reason: text(&line["reason"]) }
        }
        _ => {
            let way = if line["way"] == "since" { Way::Since } else { Way::Event };
            Line::Message { id: text(&line["id"]), mark: text(&line["mark"]), offset, way }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn ms_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
