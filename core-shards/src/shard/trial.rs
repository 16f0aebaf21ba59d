//! For unit tests: a node of one core with a clock set by hand, and ears for what it sends.

use std::sync::Arc;

use protocol::codes::CloseReason;
use protocol::json::Validator;
use protocol::websocket::frame;

use super::{Event, Identity, Shard};
use crate::Now;
use crate::ids::{CoreId, SessionId};
use crate::limits::Limits;
use crate::outputs::Outputs;
use crate::placement::Placement;

pub(super) struct Trial {
    pub(super) shard: Shard,
    pub(super) now: Now,
    begin_unix_ms: u64,
    connect_count: u32,
    out: Outputs,
}

impl Trial {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Now { monotonic_us: 1_000_000, unix_ms: 1_772_359_201_000 };
        let placement = Placement::new(1, (1, 2));
        let shard = Shard::new(CoreId(0), placement, limits, Arc::default(), 7, now);
        Self { shard, now, begin_unix_ms: now.unix_ms, connect_count: 0, out: Outputs::default() }
    }

    /// Connects a user. The token ends `life_ms` after the trial began.
    pub(super) fn connect(&mut self, slot: u32, user: &str, life_ms: Option<u64>) -> SessionId {
        let session = SessionId { slot, generation: self.connect_count };
        self.connect_count += 1;
        let identity = self.identity(user, life_ms);
        self.shard.handle_connect(session, identity, self.now, &mut self.out);
        self.heard();
        session
    }

    /// Gives the shard an event and returns the text packets that it sends, to whomever.
    pub(super) fn event(&mut self, session: SessionId, text: &str, ack: Option<u64>) -> Vec<String> {
        let mut validator = Validator::new();
        let event = Event {
            arguments: validator.check(text).expect("tests write valid JSON"),
            ack,
            attachments: &[],
        };
        self.shard.handle_event(session, &event, self.now, &mut self.out);
        self.heard()
    }

    /// Refreshes with a token of `user`, otherwise as [`Trial::connect`] and [`Trial::event`].
    pub(super) fn refresh(
        &mut self,
        session: SessionId,
        user: &str,
        life_ms: Option<u64>,
        ack: Option<u64>,
    ) -> Vec<String> {
        let identity = self.identity(user, life_ms);
        self.shard.handle_refresh(session, Ok(identity), ack, self.now, &mut self.out);
        self.heard()
    }

    pub(super) fn disconnect(&mut self, session: SessionId) {
        self.shard.handle_disconnect(session, self.now, &mut self.out);
        assert!(self.heard().is_empty(), "nobody is told of a disconnect");
    }

    /// Lets time pass and returns the packets that this leads to.
    pub(super) fn pass(&mut self, time_ms: u64) -> Vec<String> {
        self.now.monotonic_us += time_ms * 1000;
        self.now.unix_ms += time_ms;
        self.shard.handle_time(self.now, &mut self.out);
        self.heard()
    }

    /// The sessions that were closed since the last call.
    pub(super) fn closes(&mut self) -> Vec<(SessionId, CloseReason)> {
        self.out.take_closes().collect()
    }

    fn identity(&self, user: &str, life_ms: Option<u64>) -> Identity {
        Identity {
            user: user.into(),
            session: None,
            name: None,
            roles: Box::new([]),
            expires_at_unix_ms: life_ms.map(|life_ms| self.begin_unix_ms.saturating_add(life_ms)),
        }
    }

    fn heard(&mut self) -> Vec<String> {
        assert_eq!(self.out.take_mail().count(), 0, "one core has nobody to write to");
        let mut frames = Vec::new();
        self.out.take_deliveries(|frame, _| frames.push(frame));
        let bytes = frames.into_iter().flat_map(|frame| self.out.bytes(frame).to_vec()).collect::<Vec<u8>>();
        self.out.clear_frames();
        frame::frames(&bytes).map(|(_, payload)| String::from_utf8_lossy(payload).into_owned()).collect()
    }
}
