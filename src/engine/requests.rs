//! Engine.IO over HTTP: handshakes, polls, posts and upgrades, and what is none of these.

use std::rc::Rc;
use std::time::Duration;

use core_shards::{CoreId, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::open::Open;
use protocol::engine_io::payload::{Record, SEPARATOR, record};
use protocol::engine_io::query::{self, Query, Transport};
use protocol::engine_io::sid::Sid;
use protocol::engine_io::{ErrorCode, Packet};
use protocol::http::head::{Method, Request};
use protocol::http::response::Response;
use protocol::relay::forward::Target;
use protocol::socket_io::Assembler;
use protocol::websocket::handshake::{self, Upgrade};

use super::SurfaceKind;
use super::answers::Waiter;
use super::application::{Application, NotAdmitted, Opening};
use super::core::{Core, Place};
use super::forwarding;
use super::http::{Body, Connection};
use super::ingest;
use super::link::surface_number;
use super::mailbox::{Letter, Posted};
use super::metrics::Rejection;
use super::polling::payload_response;
use super::settings::{
    HOPS_MAX, POST_RECORDS_MAX, STRANGER_BODY_BYTES_MAX, UPGRADE_HOLD_MS, USER_AGENT_BYTES_MAX,
};
use super::state::{Asked, Flow, Found, NOOP_PACKET, PollStart, refusal};
use super::websocket::Purpose;
use crate::rt::{self, Either};

/// What an HTTP request leads to.
pub(super) enum Outcome<A: Application> {
    /// A response.
    Respond(Response),
    /// A response after which the connection is closed: its client meant to speak another protocol.
    Refuse(Response),
    /// The session has moved to another core meanwhile; the request has no body.
    HandOver(CoreId),
    /// The connection becomes a WebSocket.
    WebSocket(Upgrade, Purpose<A>),
    /// Nothing can be answered any more.
    Close,
}

/// Whether a request concerns a session of another core. Asked before its body is read.
pub(super) fn elsewhere<A: Application>(connection: &Connection<A>, request: &Request<'_>) -> Option<CoreId> {
    let (sid, surface) = session_of(connection, request)?;
    match connection.core.turn(|state, now| state.find(&sid, surface, now)) {
        Found::Elsewhere(core) if connection.hops < HOPS_MAX && core != connection.core.id => Some(core),
        _ => None,
    }
}

/// How many bytes a request's body may have: few, unless it is for a session that is here or the application says
/// otherwise.
pub(super) fn body_bytes_max<A: Application>(connection: &Connection<A>, request: &Request<'_>) -> usize {
    let core = &connection.core;
    let found = session_of(connection, request)
        .map(|(sid, surface)| core.turn(|state, now| state.find(&sid, surface, now)));
    let bytes_max = match found {
        Some(Found::Here(_) | Found::Foreign) => usize::MAX,
        None if core.shared.settings.surface(request.path).is_none() => {
            core.turn(|state, _| state.app.body_bytes_max(request))
        }
        _ => STRANGER_BODY_BYTES_MAX,
    };
    bytes_max.min(core.shared.settings.max_payload as usize)
}

/// A request's body was refused: a session that sends too much is over, as in Node.
pub(super) fn body_refused<A: Application>(
    connection: &Connection<A>,
    request: &Request<'_>,
    reason: CloseReason,
) {
    let Some((sid, surface)) = session_of(connection, request) else { return };
    connection.core.turn(|state, now| {
        if let Found::Here(id) = state.find(&sid, surface, now) {
            state.out.close(id, reason);
        }
    });
}

/// Which session a request names, and the surface that it came to.
fn session_of<A: Application>(connection: &Connection<A>, request: &Request<'_>) -> Option<(Sid, u8)> {
    let surface = connection.core.shared.settings.surface(request.path)?;
    let query = query::parse(request.query).ok()?;
    Some((Sid::parse(&query.sid?)?, surface_number(surface)))
}

/// Handles one request, whose session is on this core or nowhere.
pub(super) async fn handle<A: Application>(
    connection: &Connection<A>,
    request: &Request<'_>,
    body: Body,
) -> Outcome<A> {
    let core = &connection.core;
    let Some(surface) = core.shared.settings.surface(request.path) else {
        if core.shared.settings.allows_fault_injection {
            inject_fault(core, request.path);
        }
        return ask(connection, request, body).await;
    };
    if !core.shared.settings.cors.is_allowed(request.header("origin")) {
        core.metrics.reject(Rejection::Origin);
        return Outcome::Respond(refusal(ErrorCode::Forbidden));
    }
    if core.shared.settings.surfaces[surface].kind == SurfaceKind::Echo {
        return echo(core, request);
    }
    match query::parse(request.query) {
        Err(code) => Outcome::Respond(refusal(code)),
        Ok(query) => match query.transport {
            Transport::Polling => polling(connection, request, &query, surface, body).await,
            Transport::WebSocket => websocket(core, request, &query, surface).await,
        },
    }
}

/// Asks the application, and waits for its answer if that comes later.
async fn ask<A: Application>(connection: &Connection<A>, request: &Request<'_>, body: Body) -> Outcome<A> {
    let core = &connection.core;
    let asked = core.turn(|state, now| state.ask(request, &body.bytes, now));
    // It is not kept while the request waits.
    drop(body);
    let (ticket, waiter) = match asked {
        Asked::Answered(response) => return Outcome::Respond(response),
        Asked::Waiting(ticket, waiter) => (ticket, waiter),
    };
    match rt::race(waiter.answered(), connection.given_up()).await {
        Either::Left(response) => Outcome::Respond(response),
        Either::Right(()) => {
            core.turn(|state, now| state.abandon_answer(ticket, now));
            Outcome::Close
        }
    }
}

#[expect(clippy::panic, reason = "the fault that tests ask for")]
fn inject_fault<A: Application>(core: &Rc<Core<A>>, path: &str) {
    match path {
        "/debug/panic-connection" => panic!("a connection's fault was asked for"),
        "/debug/panic-core" => core.turn(|_, _| panic!("a core's fault was asked for")),
        _ => {}
    }
}

// --- Polling --------------------------------------------------------------------------------

async fn polling<A: Application>(
    connection: &Connection<A>,
    request: &Request<'_>,
    query: &Query<'_>,
    surface: usize,
    body: Body,
) -> Outcome<A> {
    let core = &connection.core;
    let Some(sid) = &query.sid else {
        return match request.method {
            Method::Get => Outcome::Respond(open(core, request, surface).await),
            _ => Outcome::Respond(refusal(ErrorCode::BadHandshakeMethod)),
        };
    };
    let Some(sid) = Sid::parse(sid) else { return Outcome::Respond(refusal(ErrorCode::SessionUnknown)) };
    let target = Target { sid, surface: surface_number(surface) };
    let is_foreign = sid.node.is_some() && sid.node != core.shared.settings.node;
    match request.method {
        Method::Get if is_foreign => forwarding::pass_on(connection, target, None).await,
        Method::Post if is_foreign => forwarding::pass_on(connection, target, Some(body.bytes)).await,
        Method::Get => {
            drop(body);
            poll(connection, &sid, surface_number(surface)).await
        }
        Method::Post => Outcome::Respond(post(connection, &sid, surface_number(surface), &body.bytes)),
        _ => Outcome::Respond(refusal(ErrorCode::BadRequest)),
    }
}

fn find_here<A: Application>(core: &Rc<Core<A>>, sid: &Sid, surface: u8) -> Option<SessionId> {
    match core.turn(|state, now| state.find(sid, surface, now)) {
        Found::Here(id) => Some(id),
        Found::Elsewhere(_) | Found::Foreign | Found::Unknown => None,
    }
}

/// Answers a handshake: the open packet, and nothing else in this response.
async fn open<A: Application>(core: &Rc<Core<A>>, request: &Request<'_>, surface: usize) -> Response {
    let opening = opening(core, request, surface, false);
    let place = match admit(core, &opening) {
        Ok(place) => place,
        Err(response) => return response,
    };
    delay_handshake(core).await;
    let sid = core.turn(|state, now| state.open_polling(core.secrets.next(), opening, now));
    place.keep();
    let mut packet = Vec::new();
    open_packet(core, &sid.to_text(), true).push(&mut packet);
    payload_response(packet)
}

/// What came of a poll at first.
pub(super) enum Begun {
    /// It is answered.
    Answered(Response),
    /// It waits for packets of this session.
    Waiting(SessionId, Rc<Waiter>),
    /// Its session is on another core.
    Elsewhere(CoreId),
}

/// Answers a poll when there is something to answer it with.
async fn poll<A: Application>(connection: &Connection<A>, sid: &Sid, surface: u8) -> Outcome<A> {
    let core = &connection.core;
    let (id, waiter) = match begin_poll(core, sid, surface).await {
        Begun::Answered(response) => return Outcome::Respond(response),
        Begun::Elsewhere(to) if connection.hops < HOPS_MAX => return Outcome::HandOver(to),
        Begun::Elsewhere(_) => return Outcome::Respond(refusal(ErrorCode::SessionUnknown)),
        Begun::Waiting(id, waiter) => (id, waiter),
    };
    match rt::race(waiter.answered(), connection.given_up()).await {
        Either::Left(response) => Outcome::Respond(response),
        Either::Right(()) => {
            core.turn(|state, _| state.poll_aborted(id, &waiter));
            Outcome::Close
        }
    }
}

/// Begins a poll of whichever node's client; one that comes in the middle of an upgrade is held for a moment.
pub(super) async fn begin_poll<A: Application>(core: &Rc<Core<A>>, sid: &Sid, surface: u8) -> Begun {
    let mut has_waited = false;
    loop {
        // Looked for anew each time: while the poll was held, the session may have moved.
        let id = match core.turn(|state, now| state.find(sid, surface, now)) {
            Found::Here(id) => id,
            Found::Elsewhere(to) => return Begun::Elsewhere(to),
            Found::Foreign | Found::Unknown if has_waited => {
                // The upgrade was completed meanwhile: there is nothing to poll for any more.
                return Begun::Answered(refusal(ErrorCode::BadRequest));
            }
            Found::Foreign | Found::Unknown => return Begun::Answered(refusal(ErrorCode::SessionUnknown)),
        };
        match core.turn(|state, _| state.begin_poll(id)) {
            PollStart::Answer(response) => return Begun::Answered(response),
            PollStart::Wait(waiter) => return Begun::Waiting(id, waiter),
            PollStart::Upgrading if has_waited => {
                return Begun::Answered(payload_response(NOOP_PACKET.to_vec()));
            }
            // The client may have finished its upgrade already, on the other connection.
            PollStart::Upgrading => rt::sleep(Duration::from_millis(UPGRADE_HOLD_MS)).await,
        }
        has_waited = true;
    }
}

/// Takes the packets of a request. The answer says only that they were read. While its body came
/// the session may have moved: then the packets follow it, behind the letter that it moved with.
fn post<A: Application>(connection: &Connection<A>, sid: &Sid, surface: u8, body: &[u8]) -> Response {
    let core = &connection.core;
    match core.turn(|state, now| state.find(sid, surface, now)) {
        Found::Here(id) => take_body(core, id, surface, body),
        Found::Elsewhere(to) if connection.hops < HOPS_MAX => {
            let posted = Posted { sid: *sid, surface, body: body.to_vec() };
            core.post(to, Letter::Posted(Box::new(posted)));
        }
        Found::Elsewhere(_) | Found::Foreign | Found::Unknown => {
            return refusal(ErrorCode::SessionUnknown);
        }
    }
    taken()
}

/// The answer to a request whose packets were taken.
pub(super) fn taken() -> Response {
    Response::new(200, "text/html", "ok")
}

/// Takes the packets of a request that was answered on another core.
pub(super) fn take_posted<A: Application>(core: &Rc<Core<A>>, posted: &Posted) {
    if let Some(id) = find_here(core, &posted.sid, posted.surface) {
        take_body(core, id, posted.surface, &posted.body);
    }
}

pub(super) fn take_body<A: Application>(core: &Rc<Core<A>>, id: SessionId, surface: u8, body: &[u8]) {
    match std::str::from_utf8(body) {
        Ok(records) => take_records(core, id, surface, records),
        Err(_) => drop(ingest::close(core, id, CloseReason::ProtocolViolation)),
    }
}

/// Hands on the packets of a payload, one after the other, until the session is over or moves.
pub(super) fn take_records<A: Application>(core: &Rc<Core<A>>, id: SessionId, surface: u8, records: &str) {
    let kind = core.shared.settings.surfaces[usize::from(surface)].kind;
    let mut half = core.turn(|state, _| state.take_half_received(id));
    let mut rest = Some(records);
    let mut record_count = 0;
    while let Some(text) = rest {
        let (first, following) = match text.split_once(char::from(SEPARATOR)) {
            Some((first, following)) => (first, Some(following)),
            None => (text, None),
        };
        rest = following;
        record_count += 1;
        match take_record(core, id, kind, &mut half.assembler, first, record_count) {
            Flow::Go => {}
            Flow::Gone => return,
            Flow::Move(to, passport) => {
                core.turn(|state, _| state.move_polling(id, to, passport, rest.unwrap_or_default()));
                return;
            }
        }
    }
    if !half.settle(&core.budget, 0) {
        return drop(ingest::close(core, id, CloseReason::PayloadTooLarge));
    }
    core.turn(|state, _| state.put_half_received_back(id, half));
}

fn take_record<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    kind: SurfaceKind,
    assembler: &mut Assembler,
    text: &str,
    record_count: usize,
) -> Flow<A::Passport> {
    if record_count > POST_RECORDS_MAX {
        return ingest::close(core, id, CloseReason::PayloadTooLarge);
    }
    match record(text) {
        Ok(Record::Text(packet)) => ingest::packet(core, id, kind, assembler, packet),
        Ok(Record::Binary(bytes)) => ingest::packet(core, id, kind, assembler, Packet::Binary(&bytes)),
        Err(_) => ingest::close(core, id, CloseReason::ProtocolViolation),
    }
}

// --- WebSocket ------------------------------------------------------------------------------

async fn websocket<A: Application>(
    core: &Rc<Core<A>>,
    request: &Request<'_>,
    query: &Query<'_>,
    surface: usize,
) -> Outcome<A> {
    if request.header("upgrade").is_none() {
        return Outcome::Respond(refusal(ErrorCode::BadRequest));
    }
    let upgrade = match handshake::upgrade(request, false) {
        Ok(upgrade) => upgrade,
        Err(error) => return Outcome::Refuse(error.response()),
    };
    if let Some(sid) = &query.sid {
        return probe(core, sid, upgrade, surface_number(surface));
    }
    let opening = opening(core, request, surface, true);
    match admit(core, &opening) {
        Ok(place) => {
            delay_handshake(core).await;
            Outcome::WebSocket(upgrade, Purpose::Open(opening, place))
        }
        Err(response) => Outcome::Refuse(response),
    }
}

/// A WebSocket that is to take a polling session over. It must come to the session's node: sockets do not travel.
fn probe<A: Application>(core: &Rc<Core<A>>, sid: &str, upgrade: Upgrade, surface: u8) -> Outcome<A> {
    let Some(sid) = Sid::parse(sid) else { return Outcome::Refuse(refusal(ErrorCode::SessionUnknown)) };
    match core.turn(|state, now| state.find(&sid, surface, now)) {
        Found::Here(_) => Outcome::WebSocket(upgrade, Purpose::Probe(sid, surface)),
        Found::Foreign => {
            let body = r#"{"code":3,"message":"Bad request: the session is on another node, go on polling"}"#;
            Outcome::Refuse(Response::json(ErrorCode::BadRequest.status(), body))
        }
        Found::Elsewhere(_) | Found::Unknown => Outcome::Refuse(refusal(ErrorCode::SessionUnknown)),
    }
}

fn echo<A: Application>(core: &Rc<Core<A>>, request: &Request<'_>) -> Outcome<A> {
    match handshake::upgrade(request, core.shared.settings.echo_limits.deflate) {
        Ok(upgrade) => {
            let is_deflated = upgrade.deflate;
            Outcome::WebSocket(upgrade, Purpose::Echo { is_deflated })
        }
        Err(error) => Outcome::Refuse(error.response()),
    }
}

// --- Both -----------------------------------------------------------------------------------

/// The open packet of a session.
pub(super) fn open_packet<'a, A: Application>(core: &Core<A>, sid: &'a str, upgrades: bool) -> Open<'a> {
    let settings = &core.shared.settings;
    Open {
        sid,
        upgrades,
        ping_interval_ms: settings.ping_interval_ms,
        ping_timeout_ms: settings.ping_timeout_ms,
        max_payload: settings.max_payload,
    }
}

fn opening<A: Application>(
    core: &Core<A>,
    request: &Request<'_>,
    surface: usize,
    is_websocket: bool,
) -> Opening {
    let mut headers = Vec::new();
    if core.shared.settings.keeps_headers {
        headers.extend(request.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())));
    }
    let user_agent = request.header("user-agent").map(beginning);
    let has_origin = request.header("origin").is_some();
    let query = request.query.to_owned();
    Opening { surface, query, user_agent, has_origin, headers, is_websocket }
}

/// As much of a `User-Agent` as is kept.
fn beginning(user_agent: &str) -> String {
    user_agent[..user_agent.floor_char_boundary(USER_AGENT_BYTES_MAX)].to_owned()
}

/// Finds a place for a session, or says why there is none. Overload is a transport error, so that clients retry.
fn admit<A: Application>(core: &Rc<Core<A>>, opening: &Opening) -> Result<Place<A>, Response> {
    let busy = |rejection, message: &str| {
        core.metrics.reject(rejection);
        Response::json(503, format!("{{\"code\":3,\"message\":\"{message}\"}}")).with("Retry-After", "1")
    };
    if core.shared.drain.is_closing() {
        return Err(busy(Rejection::Draining, "the node is going down: reconnect"));
    }
    let not_admitted = core.turn(|state, _| state.app.admit(opening));
    if let Err(NotAdmitted { status, body }) = not_admitted {
        return Err(Response::json(status, body.into_owned()));
    }
    Place::take(core).ok_or_else(|| busy(Rejection::Capacity, "the node is full: retry later"))
}

/// Waits as long as handshakes are to be answered late.
async fn delay_handshake<A: Application>(core: &Rc<Core<A>>) {
    let delay_ms = core.shared.settings.handshake_delay_ms;
    if delay_ms > 0 {
        rt::sleep(Duration::from_millis(delay_ms.into())).await;
    }
}
