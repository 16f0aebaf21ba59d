//! A thread that posts its part of the schedule over one connection, as a back end does.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;

use crate::clock::Moment;
use crate::dialect::Channels;
use crate::dialect::refusal_code;
use crate::http::Caller;
use crate::latency::Latency;
use crate::ledger::Reasons;
use crate::mark::Mark;
use crate::schedule::{Due, Share};

/// How often a message is posted again when no answer comes; its `id` keeps the server from saying it twice.
const ATTEMPTS_MAX: u32 = 3;

/// One connection that posts.
pub(super) struct Poster {
    /// The messages of the rooms that are its own.
    pub(super) share: Share,
    /// Where they go to.
    pub(super) caller: Caller,
    /// The names of the rooms.
    pub(super) channels: Channels,
    /// How long contents are.
    pub(super) content_bytes: usize,
    /// When it gives up what it has not posted yet.
    pub(super) latest: Moment,
    /// Since when its connection has been waiting for something to post.
    pub(super) free_since: Moment,
}

/// What posters have seen, one of them or all together.
#[derive(Default)]
pub(super) struct Posted {
    /// Messages that were accepted, for each room.
    pub(super) accepted: Vec<u32>,
    /// Messages that were not: refused, never answered, or given up.
    pub(super) unsent: u64,
    /// Requests, repeated ones included.
    pub(super) requests: u64,
    /// From the moment a message was due until its post was answered.
    pub(super) answer: Latency,
    /// From the moment a message was due and its connection had no other on its way, until its post was handed to the
    /// kernel: the tester's own delay.
    pub(super) lateness: Latency,
    /// Why messages were not accepted.
    pub(super) refusals: Reasons,
}

impl Posted {
    /// Nothing posted to so many rooms yet.
    pub(super) fn to_rooms(rooms: u32) -> Self {
        Self { accepted: vec![0; rooms as usize], ..Self::default() }
    }

    /// Adds all of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        self.accepted.iter_mut().zip(&other.accepted).for_each(|(sum, count)| *sum += count);
        self.unsent += other.unsent;
        self.requests += other.requests;
        self.answer.merge(&other.answer);
        self.lateness.merge(&other.lateness);
        self.refusals.merge(&other.refusals);
    }
}

impl Poster {
    /// Posts everything, each message when it is due or as soon after that as the one before it is answered;
    /// `settled` counts what has been accepted or given up, for whoever watches.
    pub(super) fn run(mut self, rooms: u32, settled: &AtomicU64) -> Posted {
        let mut posted = Posted::to_rooms(rooms);
        while let Some(due) = self.share.peek() {
            sleep(due.at.since(Moment::now()));
            let now = Moment::now();
            if self.share.take_due(now).is_none() {
                continue;
            }
            if now > self.latest {
                posted.unsent += 1;
                posted.refusals.count("too late to be posted");
            } else {
                self.post(due, &mut posted);
                self.free_since = Moment::now();
            }
            settled.fetch_add(1, Ordering::Relaxed);
        }
        posted
    }

    fn post(&mut self, due: Due, posted: &mut Posted) {
        // Only what was accepted takes a number, so that a refusal leaves no gap that looks like a loss.
        let sequence = posted.accepted[due.room.0 as usize];
        let could_begin = due.at.max(self.free_since);
        let body = self.body(due, sequence);
        for attempt in 1..=ATTEMPTS_MAX {
            posted.requests += 1;
            let lateness = &mut posted.lateness;
            let sent = || {
                if attempt == 1 {
                    lateness.record(Moment::now().nanos_since(could_begin));
                }
            };
            let error = match self.caller.post("/messages", &body, sent) {
                Ok(answer) if answer.status == 200 => {
                    posted.answer.record(Moment::now().nanos_since(due.at));
                    posted.accepted[due.room.0 as usize] += 1;
                    return;
                }
                Ok(answer) => {
                    posted.unsent += 1;
                    let code = refusal_code(&answer.body);
                    posted.refusals.count(&format!("{} {code}", answer.status));
                    return;
                }
                Err(error) => error,
            };
            if attempt == ATTEMPTS_MAX {
                posted.unsent += 1;
                posted.refusals.count(&format!("no answer: {error}"));
            }
        }
    }

    fn body(&self, due: Due, sequence: u32) -> Vec<u8> {
        let channel = self.channels.name(due.room);
        let mut body = Vec::with_capacity(self.content_bytes + 160);
        let mark = Mark { room: due.room, sequence, at: due.at };
        write!(
            body,
            r#"{{"userId":"lt-back-end","channelId":"{channel}","id":"{channel}-{}","content":""#,
            due.number
        )
        .expect("writing to memory cannot fail");
        mark.push(&mut body, self.content_bytes);
        body.extend_from_slice(br#""}"#);
        body
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::num::NonZeroU32;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use super::*;
    use crate::schedule::Schedule;

    /// How long anything may take before the test fails.
    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A server that answers each request with the next of `answers`, and hangs up where one is empty; returns the
    /// bodies that it got.
    fn server(listener: TcpListener, answers: Vec<&'static str>) -> JoinHandle<Vec<String>> {
        thread::spawn(move || {
            let mut stream: Option<BufReader<TcpStream>> = None;
            let mut bodies = Vec::new();
            for answer in answers {
                let open = stream.get_or_insert_with(|| {
                    let (stream, _) = listener.accept().unwrap();
                    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                    BufReader::new(stream)
                });
                bodies.push(read_body(open));
                if answer.is_empty() {
                    stream = None;
                } else {
                    open.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
            bodies
        })
    }

    fn read_body(stream: &mut BufReader<TcpStream>) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => assert!(line.starts_with("POST /messages "), "{line}"),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn what_is_not_answered_is_posted_again_as_the_same_message_and_what_is_refused_leaves_no_gap() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let refused = "HTTP/1.1 429 No\r\nContent-Length: 12\r\n\r\n{\"code\":\"RL\"";
        let serving = server(listener, vec![accepted, "", accepted, refused, accepted]);
        let start = Moment::now();
        let schedule = Schedule::new(start, 4000.0, Duration::from_millis(1), NonZeroU32::MIN);
        assert_eq!(schedule.total(), 4);
        let poster = Poster {
            share: schedule.share(0, 1),
            caller: Caller::new(address, "localhost", Some("k3y"), TIMEOUT),
            channels: Channels::new("r"),
            content_bytes: 8,
            latest: start + TIMEOUT,
            free_since: start,
        };
        let settled = AtomicU64::new(0);
        let posted = poster.run(1, &settled);
        let bodies = serving.join().unwrap();

        assert_eq!((posted.accepted, posted.unsent, posted.requests), (vec![3], 1, 5));
        assert_eq!(posted.refusals.by_name().get("429 RL"), Some(&1));
        assert_eq!((posted.answer.percentiles().count, posted.lateness.percentiles().count), (3, 4));
        assert_eq!(settled.load(Ordering::Relaxed), 4);
        assert_eq!(bodies[1], bodies[2], "the same id and the same number");
        let sequences: Vec<u32> = bodies.iter().map(|body| Mark::find(body).unwrap().sequence).collect();
        assert_eq!(sequences, [0, 1, 1, 2, 2]);
    }
}
