//! A thread that reads one channel by `GET /poll`, as a client without a socket does.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;

use crate::clock::Moment;
use crate::dialect::refusal_code;
use crate::http::Caller;
use crate::ledger::{Ledger, Reasons};
use crate::mark::Mark;
use crate::seating::Room;
use crate::tally::{Arrival, Tally};

/// How long a poller rests when it was refused or got no answer.
const REST: Duration = Duration::from_millis(100);
/// How often in a row it may fail once the run is over.
const LAST_FAILURES_MAX: u32 = 20;

/// One reader.
pub(super) struct Poller {
    /// The channel it reads.
    pub(super) room: Room,
    /// That channel's name.
    pub(super) channel: String,
    /// The server.
    pub(super) caller: Caller,
    /// How long the server may hold a poll, in seconds.
    pub(super) wait_s: u8,
}

/// What pollers and the run tell each other.
#[derive(Default)]
pub(super) struct Watchword {
    /// Pollers that know where to read on from.
    pub(super) began: AtomicU32,
    /// Nothing more will be said: they end when they have it all.
    pub(super) is_over: AtomicBool,
}

/// What one poller has seen.
pub(super) struct Polled {
    /// The channel it read.
    pub(super) room: Room,
    /// What it got.
    pub(super) tally: Tally,
    /// Its deliveries.
    pub(super) ledger: Ledger,
    /// Requests.
    pub(super) requests: u64,
    /// Why polls were not answered with messages.
    pub(super) refusals: Reasons,
}

/// The answer to a poll.
#[derive(Deserialize)]
struct Page {
    messages: Vec<Message>,
    timestamp: u64,
    #[serde(rename = "hasMore", default)]
    has_more: bool,
}

/// A message, of which only the mark in its content counts.
#[derive(Deserialize)]
struct Message {
    content: String,
}

impl Poller {
    /// Reads on and on until the run is over and nothing is left.
    pub(super) fn run(mut self, watchword: &Watchword) -> Polled {
        let mut polled = Polled {
            room: self.room,
            tally: Tally::default(),
            ledger: Ledger::default(),
            requests: 0,
            refusals: Reasons::default(),
        };
        let (mut since, mut failures) = (None, 0);
        loop {
            let is_over = watchword.is_over.load(Ordering::Acquire);
            // The first poll only asks where to begin; the last ones ask for what is there.
            let wait_s = if is_over || since.is_none() { 0 } else { self.wait_s };
            polled.requests += 1;
            match self.poll(since, wait_s) {
                Ok(page) => {
                    failures = 0;
                    if since.replace(page.timestamp).is_none() {
                        watchword.began.fetch_add(1, Ordering::Release);
                    }
                    polled.enter(&page);
                    if is_over && page.messages.is_empty() && !page.has_more {
                        return polled;
                    }
                }
                Err(reason) => {
                    failures += 1;
                    polled.refusals.count(&reason);
                    if is_over && failures > LAST_FAILURES_MAX {
                        return polled;
                    }
                    sleep(REST);
                }
            }
        }
    }

    fn poll(&mut self, since: Option<u64>, wait_s: u8) -> Result<Page, String> {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let path = format!("/poll?channelId={}&wait={wait_s}&limit=100{since}", self.channel);
        let answer = self.caller.get(&path).map_err(|error| format!("no answer: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{} {}", answer.status, refusal_code(&answer.body)));
        }
        serde_json::from_str(&answer.body).map_err(|error| format!("unreadable answer: {error}"))
    }
}

impl Polled {
    fn enter(&mut self, page: &Page) {
        let now = Moment::now();
        for mark in page.messages.iter().filter_map(|message| Mark::find(&message.content)) {
            if mark.room != self.room {
                self.ledger.misrouted += 1;
                continue;
            }
            let arrival = self.tally.enter(mark.sequence);
            self.ledger.enter_arrival(arrival, false);
            if arrival != Arrival::Doubled {
                self.ledger.delivery.record(now.nanos_since(mark.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_what_it_repeats_and_what_it_leaves_out() {
        let mut polled = Polled {
            room: Room(3),
            tally: Tally::default(),
            ledger: Ledger::default(),
            requests: 0,
            refusals: Reasons::default(),
        };
        let text = r#"{"messages":[{"content":"~s3.0.1~"},{"content":"~s3.2.1~"},{"content":"~s3.2.1~"},
            {"content":"~s4.0.1~"},{"content":"hello"}],"timestamp":17,"hasMore":true}"#;
        let page: Page = serde_json::from_str(text).unwrap();
        assert_eq!((page.timestamp, page.has_more), (17, true));
        polled.enter(&page);
        assert_eq!((polled.ledger.delivered, polled.ledger.doubled, polled.ledger.misrouted), (2, 1, 1));
        assert_eq!(polled.tally.lost(3), 1);
    }
}
