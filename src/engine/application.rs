//! What an engine asks of the application that it carries: the chat node, or the conformance fixture.

use std::borrow::Cow;

use core_shards::outputs::Ticket;
use core_shards::{CoreId, MailClass, Now, Outputs, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::sid::NodeName;
use protocol::http::Request;
use protocol::http::response::Response;
use protocol::json::Json;
use protocol::relay::forward::Forwarding;
use protocol::socket_io::Kind;

use super::handle::CoreHandle;
use super::settings::STRANGER_BODY_BYTES_MAX;
#[cfg(doc)]
use super::settings::USER_AGENT_BYTES_MAX;

/// What a session wanted when its Engine.IO handshake came in.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Which of the configured surfaces it came to.
    pub surface: usize,
    /// The query string, undecoded.
    pub query: String,
    /// The beginning of its `User-Agent`, at most [`USER_AGENT_BYTES_MAX`] bytes.
    pub user_agent: Option<String>,
    /// Whether it named the origin of a page, or pretended to.
    pub has_origin: bool,
    /// The request's headers, if [`Settings::keeps_headers`](super::Settings) says so.
    pub headers: Vec<(String, String)>,
    /// Whether it began as a WebSocket.
    pub is_websocket: bool,
}

/// The JSON of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// There was none.
    Absent,
    /// Validated, and of a shape that the packet's kind may have.
    Json(Json<'a>),
    /// JSON by the grammar that means nothing: half a surrogate pair, a number beyond a double.
    Unreadable,
}

impl<'a> Payload<'a> {
    /// The JSON, if there is any that can be read.
    pub fn json(self) -> Option<Json<'a>> {
        if let Self::Json(json) = self { Some(json) } else { None }
    }
}

/// A Socket.IO packet, checked, with its attachments.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// What it is.
    pub kind: Kind,
    /// The namespace; `/` is the main one.
    pub namespace: &'a str,
    /// The acknowledgement id.
    pub id: Option<u64>,
    /// Its JSON.
    pub payload: Payload<'a>,
    /// Its binary attachments.
    pub attachments: &'a [Vec<u8>],
}

/// A message on a surface that speaks bare Engine.IO.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Binary.
    Binary(&'a [u8]),
}

/// What becomes of a session after a packet.
#[derive(Debug)]
pub enum Step<Passport> {
    /// It goes on.
    Stay,
    /// It has joined its first namespace: the connect timeout is off.
    Joined,
    /// It has left its last namespace: the connect timeout is on again.
    Left,
    /// It belongs to another core, which gets the passport. The application has told nobody about it yet.
    Move(CoreId, Passport),
    /// It is closed, after what was sent to it has been written.
    Close(CloseReason),
}

/// What a request that is none of Engine.IO's is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This, at once.
    Now(Response),
    /// What [`Outputs::answer`] gives for the request's ticket, in this turn or in a later one.
    Later,
}

/// A refusal of an Engine.IO handshake, before anything was opened.
#[derive(Clone, Debug)]
pub struct NotAdmitted {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Cow<'static, str>,
}

/// One core's share of an application. All methods but `start` run inside a turn, and all return at once.
pub trait Application: Sized + 'static {
    /// What its cores write to each other.
    type Mail: Send + 'static;
    /// What goes along when a session moves to another core.
    type Passport: Send + 'static;

    /// Which lane a letter travels in.
    fn class(letter: &Self::Mail) -> MailClass;

    /// The core's tasks run, and nobody has connected yet: the time to start tasks of the application's own.
    ///
    /// Called once on each core, outside of a turn.
    fn start(core: &CoreHandle<Self>) {
        let _ = core;
    }

    /// A handshake came in; may it open a session?
    fn admit(&mut self, opening: &Opening) -> Result<(), NotAdmitted> {
        let _ = opening;
        Ok(())
    }

    /// A session was opened. It has not said anything yet.
    fn handle_open(&mut self, session: SessionId, opening: Opening, now: Now, out: &mut Outputs<Self::Mail>) {
        let _ = (session, opening, now, out);
    }

    /// A session changed over from polling to a WebSocket.
    fn handle_upgrade(&mut self, session: SessionId) {
        let _ = session;
    }

    /// Whether a session is in a namespace. Asked only of packets that mean nothing, such as an event
    /// without data: they are dropped in a namespace that was joined, and close the session elsewhere.
    fn has_joined(&self, session: SessionId, namespace: &str) -> bool {
        let _ = (session, namespace);
        true
    }

    /// A Socket.IO packet. The application closes the session if it is for a namespace that was not joined.
    fn handle_packet(
        &mut self,
        session: SessionId,
        packet: &Incoming<'_>,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    ) -> Step<Self::Passport>;

    /// A message on a surface that speaks bare Engine.IO.
    fn handle_message(
        &mut self,
        session: SessionId,
        message: Message<'_>,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    ) {
        let _ = (session, message, now, out);
    }

    /// A session moved here from another core.
    fn handle_arrival(
        &mut self,
        session: SessionId,
        passport: Self::Passport,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    );

    /// A session is gone. Called exactly once for each that was opened or arrived, unless it moved away.
    fn handle_close(
        &mut self,
        session: SessionId,
        reason: CloseReason,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    );

    /// A letter from another core.
    fn handle_mail(&mut self, from: CoreId, letter: Self::Mail, now: Now, out: &mut Outputs<Self::Mail>);

    /// Time has passed.
    fn handle_time(&mut self, now: Now, out: &mut Outputs<Self::Mail>);

    /// When time should be handled next, in monotonic milliseconds.
    fn next_deadline_ms(&self) -> Option<u64>;

    /// First parts of the paths, with their slash, by which requests to none of the surfaces are counted; at most
    /// 14. Every other path counts as one more.
    const ROUTES: &'static [&'static str] = &[];

    /// Called once a second, so that gauges can be brought up to date that would cost too much otherwise.
    fn measure(&self) {}

    /// Has another node hear of a polling request, or of its answer. `false` if the node cannot be reached, as far as is
    /// known.
    fn forward(
        &mut self,
        node: NodeName,
        forwarding: &Forwarding,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    ) -> bool {
        let _ = (node, forwarding, now, out);
        false
    }

    /// What other nodes have had this one hear in that way, in order. Asked at the end of each turn.
    fn take_forwarded(&mut self) -> Vec<Forwarding> {
        Vec::new()
    }

    /// Whether something that was accepted has not been done yet: a node that goes waits for it a while.
    fn owes(&self) -> bool {
        false
    }

    /// The core ends: the last call but for [`handle_time`](Self::handle_time) and mail.
    fn handle_shutdown(&mut self, now: Now, out: &mut Outputs<Self::Mail>) {
        let _ = (now, out);
    }

    /// How many bytes the body of an HTTP request to a path that is none of the surfaces may have, asked before it is read. More than the engine's
    /// `max_payload` are never taken.
    ///
    /// The answer is for whoever the request's headers prove to come from; a stranger gets the default.
    fn body_bytes_max(&mut self, request: &Request<'_>) -> usize {
        let _ = request;
        STRANGER_BODY_BYTES_MAX
    }

    /// An HTTP request to a path that is none of the surfaces. Its `ticket` is for [`Outputs::answer`], on this core,
    /// if the answer is to come later.
    ///
    /// A request that could not wait, because too many do, is told so behind the application's back: what it asked
    /// for may have happened all the same, as with every answer that is lost on its way.
    fn handle_request(
        &mut self,
        request: &Request<'_>,
        body: &[u8],
        ticket: Ticket,
        now: Now,
        out: &mut Outputs<Self::Mail>,
    ) -> Reply;

    /// Nobody waits for this answer any more: the client has gone, it took longer than
    /// [`ANSWER_TIMEOUT_MS`](super::settings::ANSWER_TIMEOUT_MS), too many wait, or the node is going down.
    fn handle_abandoned(&mut self, ticket: Ticket, now: Now, out: &mut Outputs<Self::Mail>) {
        let _ = (ticket, now, out);
    }
}
