//! An application for what the chat node does not show by itself: a desk where requests wait until somebody has them
//! answered. It runs on the engine inside the test's own process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use core_shards::outputs::Ticket;
use core_shards::{CoreId, MailClass, Now, Outputs, SessionId};
use protocol::codes::CloseReason;
use protocol::http::Request;
use protocol::http::cors::Cors;
use protocol::http::response::Response;
use protocol::websocket;
use protocol::websocket::frame::{Opcode, push_frame};
use realtime::engine::metrics::EngineMetrics;
use realtime::engine::settings::STRANGER_BODY_BYTES_MAX;
use realtime::engine::threads::Engine;
use realtime::engine::{
    Application, CoreHandle, Incoming, Opening, Postbox, Reply, Settings, Step, Surface, SurfaceKind,
};
use realtime::rt::{self, Driver, DriverPreference, choose_driver};

use super::http::Http;

/// The settings of a desk.
pub(crate) fn settings() -> Settings {
    Settings {
        node: None,
        surfaces: vec![Surface { path: "/engine.io/", kind: SurfaceKind::EngineIo }],
        ping_interval_ms: 25_000,
        ping_timeout_ms: 20_000,
        connect_timeout_ms: 10_000,
        max_payload: 1_000_000,
        queue_bytes_max: 1 << 20,
        sessions_max: 1_000,
        drain_delay_ms: 0,
        drain_spread_ms: 0,
        cors: Cors::Any,
        keeps_headers: false,
        handshake_delay_ms: 0,
        echo_limits: websocket::Limits { message_bytes_max: 0, fragments_max: 0, deflate: false },
        allows_fault_injection: false,
    }
}

/// The driver that `REALTIME_IO_DRIVER` names.
pub(crate) fn driver() -> Driver {
    let preference = match std::env::var("REALTIME_IO_DRIVER").as_deref() {
        Ok("uring") => DriverPreference::Uring,
        Ok("epoll") => DriverPreference::Epoll,
        _ => DriverPreference::Auto,
    };
    choose_driver(preference, 1).unwrap().driver
}

/// Opens a desk on a free port.
pub(crate) fn open(settings: Settings) -> Engine<Desk> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Engine::start(settings, driver(), 1, address, |core, shared, _| Desk::new(core, shared.postbox()))
        .unwrap()
}

/// What a request to a desk says in return.
pub(crate) fn ask(desk: &Engine<Desk>, target: &str) -> String {
    Http::open(desk.address).request("GET", target, "").body
}

/// Asks until the answer is this one.
#[track_caller]
pub(crate) fn ask_until(desk: &Engine<Desk>, target: &str, expected: &str) {
    let ends = std::time::Instant::now() + super::server::PATIENCE;
    loop {
        let answer = ask(desk, target);
        if answer == expected {
            return;
        }
        assert!(std::time::Instant::now() < ends, "{target} says {answer}, not {expected}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Waits until a number of the desk's only core is as it should be.
#[track_caller]
pub(crate) fn count_until(
    desk: &Engine<Desk>,
    count: impl Fn(&EngineMetrics) -> u64,
    is_so: impl Fn(u64) -> bool,
) {
    let ends = std::time::Instant::now() + super::server::PATIENCE;
    while !is_so(count(&desk.shared.metrics[0])) {
        assert!(std::time::Instant::now() < ends, "it stays at {}", count(&desk.shared.metrics[0]));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// One core's share of the desk.
#[derive(Debug)]
pub(crate) struct Desk {
    core: CoreId,
    postbox: Postbox<Self>,
    sessions: Vec<SessionId>,
    user_agent: Option<String>,
    waiting: Vec<Ticket>,
    answered_count: usize,
    abandoned_count: usize,
    /// Those who wait for the clerk.
    unhurried: Vec<Ticket>,
    /// The clerk has a share of it as long as he is there.
    pub(crate) clerk: Arc<()>,
}

/// What somebody outside has found out for the one who waits.
#[derive(Debug)]
pub(crate) struct Note {
    /// Who waits.
    pub(crate) ticket: Ticket,
    /// The answer.
    pub(crate) text: String,
}

impl Desk {
    /// A desk where nobody waits.
    pub(crate) fn new(core: CoreId, postbox: Postbox<Self>) -> Self {
        Self {
            core,
            postbox,
            sessions: Vec::new(),
            user_agent: None,
            waiting: Vec::new(),
            answered_count: 0,
            abandoned_count: 0,
            unhurried: Vec::new(),
            clerk: Arc::default(),
        }
    }

    /// Has somebody outside find the answer out.
    fn ask_around(&self, ticket: Ticket) {
        let (postbox, to) = (self.postbox.clone(), self.core);
        std::thread::spawn(move || postbox.post(to, Note { ticket, text: "from outside".to_owned() }));
    }

    /// Sends the body to all sessions: to last, or until there is another one under the key that the query names.
    fn tell(&self, request: &Request<'_>, body: &[u8], out: &mut Outputs<Note>) -> String {
        let mut frames = Vec::new();
        push_frame(&mut frames, Opcode::Text, &[b"4", body].concat());
        let slots: Vec<u32> = self.sessions.iter().map(|session| session.slot).collect();
        match request.query.parse() {
            Ok(key) => out.broadcast_volatile(&frames, &slots, key),
            Err(_) => out.broadcast(&frames, &slots),
        }
        String::new()
    }
}

impl Application for Desk {
    type Mail = Note;
    type Passport = Infallible;

    fn class(note: &Note) -> MailClass {
        if note.ticket.0.is_multiple_of(2) { MailClass::Request } else { MailClass::Result }
    }

    /// The clerk comes by every few milliseconds, and is not in a hurry.
    fn start(core: &CoreHandle<Self>) {
        let own_core = core.clone();
        let share = core.turn(|desk, _, _| desk.clerk.clone());
        core.start(async move {
            let _share = share;
            loop {
                rt::sleep(Duration::from_millis(5)).await;
                own_core.turn(|desk, _, out| {
                    for ticket in desk.unhurried.drain(..) {
                        out.answer(ticket, Response::text(200, "by the clerk"));
                    }
                });
            }
        });
    }

    fn handle_open(&mut self, session: SessionId, opening: Opening, _: Now, _: &mut Outputs<Note>) {
        self.sessions.push(session);
        self.user_agent = opening.user_agent;
    }

    fn handle_packet(
        &mut self,
        _: SessionId,
        _: &Incoming<'_>,
        _: Now,
        _: &mut Outputs<Note>,
    ) -> Step<Infallible> {
        Step::Stay
    }

    fn handle_arrival(&mut self, _: SessionId, passport: Infallible, _: Now, _: &mut Outputs<Note>) {
        match passport {}
    }

    fn handle_close(&mut self, session: SessionId, _: CloseReason, _: Now, _: &mut Outputs<Note>) {
        self.sessions.retain(|other| *other != session);
    }

    fn handle_mail(&mut self, _: CoreId, note: Note, _: Now, out: &mut Outputs<Note>) {
        out.answer(note.ticket, Response::text(200, note.text));
    }

    fn handle_time(&mut self, _: Now, _: &mut Outputs<Note>) {}

    fn next_deadline_ms(&self) -> Option<u64> {
        None
    }

    fn body_bytes_max(&mut self, request: &Request<'_>) -> usize {
        if request.header("authorization").is_some() { usize::MAX } else { STRANGER_BODY_BYTES_MAX }
    }

    fn handle_request(
        &mut self,
        request: &Request<'_>,
        body: &[u8],
        ticket: Ticket,
        _: Now,
        out: &mut Outputs<Note>,
    ) -> Reply {
        let text = match request.path {
            "/later" => {
                self.waiting.push(ticket);
                return Reply::Later;
            }
            "/clerk" => {
                self.unhurried.push(ticket);
                return Reply::Later;
            }
            "/outside" => {
                self.ask_around(ticket);
                return Reply::Later;
            }
            "/same-turn" => {
                out.answer(ticket, Response::text(200, "in the same turn"));
                return Reply::Later;
            }
            "/answer" => {
                self.answered_count += self.waiting.len();
                for ticket in self.waiting.drain(..) {
                    out.answer(ticket, Response::text(200, format!("answer {}", ticket.0)));
                    // The second one is nobody's.
                    out.answer(ticket, Response::text(500, "again"));
                }
                String::new()
            }
            "/say" | "/show" => self.tell(request, body, out),
            "/user-agent" => format!("{:?}", self.user_agent),
            "/sessions" => self.sessions.len().to_string(),
            "/waiting" => self.waiting.len().to_string(),
            "/answered" => self.answered_count.to_string(),
            "/abandoned" => self.abandoned_count.to_string(),
            "/bytes" => body.len().to_string(),
            _ => return Reply::Now(Response::text(404, "no such desk")),
        };
        Reply::Now(Response::text(200, text))
    }

    fn handle_abandoned(&mut self, ticket: Ticket, _: Now, _: &mut Outputs<Note>) {
        self.waiting.retain(|waiting| *waiting != ticket);
        self.abandoned_count += 1;
    }
}
