//! One HTTP connection: requests are read strictly and bounded, answered one after the other, and
//! the connection may become a WebSocket or move to the core of the session that a request concerns.

use std::io;
use std::rc::Rc;

use core_shards::CoreId;
use protocol::codes::CloseReason;
use protocol::http::body::BodyReader;
use protocol::http::head::{HeadLimits, Method, Request};
use protocol::http::response::{CONTINUE, Response, push_response};
use protocol::http::{Framing, HttpError, parse_head};
use protocol::websocket::handshake::{self, Upgrade};

use super::answers::busy;
use super::application::Application;
use super::budget::Bill;
use super::core::{Core, WatchGuard};
use super::mailbox::{Letter, Visit};
use super::metrics::{Carrier, ROUTE_OTHER, ROUTE_SURFACE, Rejection, RequestMetrics, route_of};
use super::requests::{self, Outcome};
use super::settings::{KEEP_ALIVE_MS, LINGER_MS, REQUEST_SHARE_BYTES, REQUEST_TIMEOUT_MS};
use super::websocket::{self, drained};
use crate::rt::Socket;

/// Starts serving a connection. `bytes` were read from it already; `hops` cores passed it on.
pub(super) fn serve<A: Application>(core: &Rc<Core<A>>, socket: Socket, bytes: Vec<u8>, hops: u8) {
    let socket = Rc::new(socket);
    let watch = core.watch(&socket, REQUEST_TIMEOUT_MS);
    let connection = Connection { core: core.clone(), socket, watch, buffer: bytes, hops };
    core.start(connection.run());
}

/// A connection that speaks HTTP.
pub(super) struct Connection<A: Application> {
    pub(super) core: Rc<Core<A>>,
    pub(super) socket: Rc<Socket>,
    pub(super) watch: WatchGuard<A>,
    /// What was read and not used yet; begins with a request head.
    buffer: Vec<u8>,
    pub(super) hops: u8,
}

/// What to do after a request.
enum Next<A: Application> {
    /// Read another one.
    Continue,
    /// Close the connection.
    Close,
    /// The session is elsewhere.
    HandOver(CoreId),
    /// Go on as a WebSocket.
    WebSocket(Upgrade, websocket::Purpose<A>),
}

/// A request's body, and what came behind it.
pub(super) struct Body {
    /// The body.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the buffer that belong to it.
    buffered_bytes: usize,
    /// What was read behind its end.
    surplus: Vec<u8>,
    bill: Bill,
}

impl Body {
    /// Brings the bill up to date.
    fn settle(&mut self) -> Result<(), Refused> {
        let bytes = self.bytes.capacity() + self.surplus.capacity();
        if self.bill.set(bytes) { Ok(()) } else { Err(Refused::Busy) }
    }
}

impl<A: Application> Connection<A> {
    /// Serves requests until one of them, the peer, a deadline or the node's end says otherwise.
    async fn run(mut self) {
        loop {
            if self.core.is_share_used() {
                self.core.share_renewed.next().await;
            }
            let next = match parse_head(&self.buffer, &HeadLimits::STANDARD) {
                Ok(Some(request)) => {
                    // On the heap: an idle connection does not carry what an answer needs.
                    let (next, used, surplus) = Box::pin(self.answer(&request)).await;
                    self.buffer.drain(..used);
                    self.buffer.extend_from_slice(&surplus);
                    self.hops = 0;
                    next
                }
                Ok(None) => match self.read_more().await {
                    Ok(()) => continue,
                    Err(_) => Next::Close,
                },
                Err(error) => Box::pin(self.refuse(error)).await,
            };
            match next {
                Next::Continue => {}
                Next::Close => return self.linger().await,
                Next::HandOver(core) => return self.hand_over(core),
                Next::WebSocket(upgrade, purpose) => return self.change_protocol(&upgrade, purpose),
            }
            if self.buffer.is_empty() {
                // An idle connection owns no buffer.
                self.buffer = Vec::new();
                self.watch.set(Some(KEEP_ALIVE_MS));
            }
        }
    }

    /// Reads and forgets what still comes until the peer closes or the watch cuts the connection: closed
    /// with unread bytes it would be reset, and the response lost with it (RFC 9112 section 9.6).
    async fn linger(&self) {
        self.watch.set(Some(LINGER_MS));
        drained(&self.core, &self.socket).await;
    }

    /// Reads what is there, or waits for it.
    async fn read_more(&mut self) -> io::Result<()> {
        let bytes = read_some(&self.core, &self.socket).await?;
        if self.buffer.is_empty() {
            self.watch.set(Some(REQUEST_TIMEOUT_MS));
        }
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    /// Handles one request. Returns what to do next, how many buffered bytes it used, and what was
    /// read behind it.
    async fn answer(&self, request: &Request<'_>) -> (Next<A>, usize, Vec<u8>) {
        let _answering = Answering::new(self, request);
        self.core.count_share(REQUEST_SHARE_BYTES);
        let used = request.head_bytes;
        let settings = &self.core.shared.settings;
        let origin = request.header("origin");
        if request.method == Method::Options && origin.is_some() {
            let next = self.respond(request, settings.cors.preflight(origin)).await;
            return (next, used, Vec::new());
        }
        if let Some(core) = requests::elsewhere(self, request) {
            return (Next::HandOver(core), 0, Vec::new());
        }
        let mut body = match self.read_body(request).await {
            Ok(body) => body,
            Err(refused) => {
                self.refuse_body(request, refused).await;
                return (Next::Close, used, Vec::new());
            }
        };
        self.watch.set(None);
        while self.core.is_congested() {
            self.core.room.next().await;
        }
        let (used, surplus) = (used + body.buffered_bytes, std::mem::take(&mut body.surplus));
        let outcome = requests::handle(self, request, body).await;
        self.watch.set(Some(REQUEST_TIMEOUT_MS));
        let next = match outcome {
            Outcome::Respond(response) => {
                self.respond(request, response.with_all(settings.cors.headers(origin))).await
            }
            Outcome::Refuse(response) => {
                self.count(request, response.status);
                let _ = self.write(&response.with_all(settings.cors.headers(origin)), false, false).await;
                Next::Close
            }
            Outcome::HandOver(core) => return (Next::HandOver(core), 0, Vec::new()),
            Outcome::WebSocket(upgrade, purpose) => {
                self.count(request, SWITCHING_PROTOCOLS);
                Next::WebSocket(upgrade, purpose)
            }
            Outcome::Close => Next::Close,
        };
        (next, used, surplus)
    }

    /// Answers a request whose body was not read.
    async fn refuse_body(&self, request: &Request<'_>, refused: Refused) {
        let (rejection, reason, response) = match refused {
            Refused::Http(error) if error.status() == 413 => {
                (Rejection::BadRequest, CloseReason::PayloadTooLarge, error_response(error))
            }
            Refused::Http(error) => {
                (Rejection::BadRequest, CloseReason::ProtocolViolation, error_response(error))
            }
            Refused::Busy => (
                Rejection::Busy,
                CloseReason::PayloadTooLarge,
                busy("too many large requests arrive at the same time"),
            ),
            Refused::Lost => return,
        };
        self.core.metrics.reject(rejection);
        requests::body_refused(self, request, reason);
        self.count(request, response.status);
        let cors = self.core.shared.settings.cors.headers(request.header("origin"));
        let _ = self.write(&response.with_all(cors), false, false).await;
    }

    async fn respond(&self, request: &Request<'_>, response: Response) -> Next<A> {
        // Who is turned away by a node that goes must not come back on the same connection, as balancers would.
        let is_sent_away = response.status == 503 && self.core.shared.drain.is_closing();
        let keep_alive = request.keep_alive && !is_sent_away && !self.core.stopping.is_set();
        let is_head = request.method == Method::Head;
        self.count(request, response.status);
        match self.write(&response, keep_alive, is_head).await {
            Ok(()) if keep_alive => Next::Continue,
            _ => Next::Close,
        }
    }

    /// Reads the request's body, which may be in the buffer already. Bounded, by the payload limit if it
    /// is for a session; a declared length over the bound is refused before anything is read.
    async fn read_body(&self, request: &Request<'_>) -> Result<Body, Refused> {
        let mut body = Body {
            bytes: Vec::new(),
            buffered_bytes: 0,
            surplus: Vec::new(),
            bill: Bill::new(&self.core.budget),
        };
        if matches!(request.framing, Framing::None) {
            return Ok(body);
        }
        let bytes_max = requests::body_bytes_max(self, request);
        let mut reader = BodyReader::new(request.framing, bytes_max).map_err(Refused::Http)?;
        let buffered = &self.buffer[request.head_bytes..];
        body.buffered_bytes = reader.feed(buffered, &mut body.bytes).map_err(Refused::Http)?;
        body.settle()?;
        if request.expects_continue && !reader.is_complete() {
            write_all(&self.socket, CONTINUE).await.map_err(|_| Refused::Lost)?;
        }
        while !reader.is_complete() {
            let more = read_some(&self.core, &self.socket).await.map_err(|_| Refused::Lost)?;
            self.watch.set(Some(REQUEST_TIMEOUT_MS));
            let used = reader.feed(&more, &mut body.bytes).map_err(Refused::Http)?;
            body.surplus.extend_from_slice(&more[used..]);
            body.settle()?;
        }
        Ok(body)
    }

    async fn refuse(&self, error: HttpError) -> Next<A> {
        self.core.metrics.reject(Rejection::BadRequest);
        self.core.metrics.requests.count(ROUTE_OTHER, None, error.status());
        let _ = self.write(&error_response(error), false, false).await;
        Next::Close
    }

    fn count(&self, request: &Request<'_>, status: u16) {
        self.core.metrics.requests.count(self.route(request), Some(request.method), status);
    }

    fn route(&self, request: &Request<'_>) -> usize {
        match self.core.shared.settings.surface(request.path) {
            Some(_) => ROUTE_SURFACE,
            None => route_of(request.path, A::ROUTES),
        }
    }

    async fn write(&self, response: &Response, keep_alive: bool, is_head: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        push_response(&mut bytes, response, keep_alive, is_head);
        self.core.metrics.bytes_out[Carrier::Http as usize].add(bytes.len() as u64);
        write_all(&self.socket, &bytes).await?;
        if !keep_alive {
            self.socket.shutdown_write();
        }
        Ok(())
    }

    /// Waits until the client closes the connection on which it waits for an answer.
    pub(super) async fn given_up(&self) {
        loop {
            self.socket.readable().await;
            match self.socket.peek(&mut [0]) {
                Ok(0) => return,
                // The next request, sent ahead: it says nothing about this one.
                Ok(_) => std::future::pending().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Sends the connection to another core, with the request that was read.
    fn hand_over(self, to: CoreId) {
        let Self { core, socket, watch, buffer, hops } = self;
        drop(watch);
        let fd = Rc::try_unwrap(socket).map(Socket::into_fd);
        if let Ok(fd) = fd {
            let visit = Visit { fd, bytes: buffer, hops: hops + 1 };
            core.post(to, Letter::Visit(Box::new(visit)));
        }
    }

    fn change_protocol(self, upgrade: &Upgrade, purpose: websocket::Purpose<A>) {
        let Self { core, socket, watch, buffer, .. } = self;
        let mut head = Vec::new();
        handshake::push_response(&mut head, upgrade);
        websocket::begin(&core, socket, watch, purpose, head, buffer);
    }
}

/// The status of a request that becomes a WebSocket.
const SWITCHING_PROTOCOLS: u16 = 101;

/// A request that is being answered. Dropping it says that it is over, whatever came of it.
struct Answering<'a, A: Application> {
    connection: &'a Connection<A>,
    /// When it began, in microseconds, if its duration counts.
    began_us: Option<u64>,
}

impl<'a, A: Application> Answering<'a, A> {
    fn new(connection: &'a Connection<A>, request: &Request<'_>) -> Self {
        let core = &connection.core;
        core.metrics.requests.in_flight.increment();
        let is_timed = connection.route(request) != ROUTE_SURFACE;
        Self { connection, began_us: is_timed.then(|| core.shared.now().monotonic_us) }
    }
}

impl<A: Application> Drop for Answering<'_, A> {
    fn drop(&mut self) {
        let core = &self.connection.core;
        let metrics: &RequestMetrics = &core.metrics.requests;
        metrics.in_flight.take(1);
        if let Some(began_us) = self.began_us {
            metrics.duration.observe(core.shared.now().monotonic_us.saturating_sub(began_us));
        }
    }
}

/// Why a body was not read.
enum Refused {
    /// It is not HTTP as we accept it, or too long.
    Http(HttpError),
    /// There is no room for it.
    Busy,
    /// The client has gone.
    Lost,
}

fn error_response(error: HttpError) -> Response {
    Response::json(
        error.status(),
        format!(
            "{{\"success\":false,\"error\":{{\"code\":\"BAD_REQUEST\",\"message\":\"{}\"}}}}",
            error.reason()
        ),
    )
}

/// Reads once, waiting if nothing is there. The end of the stream is an error.
pub(super) async fn read_some<A: Application>(core: &Rc<Core<A>>, socket: &Socket) -> io::Result<Vec<u8>> {
    loop {
        if core.is_share_used() {
            core.share_renewed.next().await;
        }
        let read = core.with_read_buffer(|buffer| socket.recv(buffer).map(|count| buffer[..count].to_vec()));
        match read {
            Ok(bytes) if bytes.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                core.metrics.bytes_in[Carrier::Http as usize].add(bytes.len() as u64);
                core.count_share(bytes.len());
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        socket.readable().await;
    }
}

/// Writes everything, waiting for room where the socket has none. The connection's watch bounds the wait.
pub(super) async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.send(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatNode;
    use crate::engine::core::TaskCount;
    use crate::rt::task_bytes;

    /// The task that such a function makes, without making it.
    fn task_bytes_of<F: Future<Output = ()>>(_: impl FnOnce(Connection<ChatNode>) -> F) -> usize {
        task_bytes::<F, TaskCount<ChatNode>>()
    }

    #[test]
    fn the_task_of_an_idle_connection_is_small() {
        let bytes = task_bytes_of(Connection::run);
        assert!(bytes <= 448, "{bytes}");
    }
}
