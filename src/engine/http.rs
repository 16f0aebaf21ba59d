//! One HTTP connection: requests are read strictly and bounded, answered one after the other, and
//! the connection may become a WebSocket or move to the core of the session that a request concerns.

use std::io;
use std::rc::Rc;

use core_shards::CoreId;
use protocol::http::body::BodyReader;
use protocol::http::head::{HeadLimits, Method, Request};
use protocol::http::response::{CONTINUE, Response, push_response};
use protocol::http::{Framing, HttpError, parse_head};
use protocol::websocket::handshake::{self, Upgrade};

use super::application::Application;
use super::core::{Core, WatchGuard};
use super::mailbox::{Letter, Visit};
use super::metrics::Rejection;
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
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    /// Bytes of the buffer that belong to it.
    buffered_bytes: usize,
    /// What was read behind its end.
    surplus: Vec<u8>,
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
                    let (next, used, surplus) = self.answer(&request).await;
                    self.buffer.drain(..used);
                    self.buffer.extend_from_slice(&surplus);
                    self.hops = 0;
                    next
                }
                Ok(None) => match self.read_more().await {
                    Ok(()) => continue,
                    Err(_) => Next::Close,
                },
                Err(error) => self.refuse(error).await,
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
        self.core.metrics.requests.increment();
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
        let body = match self.read_body(request).await {
            Ok(body) => body,
            Err(Refused::Http(error)) => {
                self.core.metrics.reject(Rejection::BadRequest);
                requests::body_refused(self, request, error);
                let response = error_response(error).with_all(settings.cors.headers(origin));
                let _ = self.write(&response, false, false).await;
                return (Next::Close, used, Vec::new());
            }
            Err(Refused::Lost) => return (Next::Close, used, Vec::new()),
        };
        self.watch.set(None);
        while self.core.is_congested() {
            self.core.room.next().await;
        }
        let outcome = requests::handle(self, request, &body.bytes).await;
        self.watch.set(Some(REQUEST_TIMEOUT_MS));
        let next = match outcome {
            Outcome::Respond(response) => {
                self.respond(request, response.with_all(settings.cors.headers(origin))).await
            }
            Outcome::Refuse(response) => {
                let _ = self.write(&response.with_all(settings.cors.headers(origin)), false, false).await;
                Next::Close
            }
            Outcome::HandOver(core) => return (Next::HandOver(core), 0, Vec::new()),
            Outcome::WebSocket(upgrade, purpose) => Next::WebSocket(upgrade, purpose),
            Outcome::Close => Next::Close,
        };
        (next, used + body.buffered_bytes, body.surplus)
    }

    async fn respond(&self, request: &Request<'_>, response: Response) -> Next<A> {
        let keep_alive = request.keep_alive && !self.core.stopping.is_set();
        let is_head = request.method == Method::Head;
        match self.write(&response, keep_alive, is_head).await {
            Ok(()) if keep_alive => Next::Continue,
            _ => Next::Close,
        }
    }

    /// Reads the request's body, which may be in the buffer already. Bounded, by the payload limit if it
    /// is for a session; a declared length over the bound is refused before anything is read.
    async fn read_body(&self, request: &Request<'_>) -> Result<Body, Refused> {
        if matches!(request.framing, Framing::None) {
            return Ok(Body::default());
        }
        let bytes_max = requests::body_bytes_max(self, request);
        let mut reader = BodyReader::new(request.framing, bytes_max).map_err(Refused::Http)?;
        let mut body = Body::default();
        let buffered = &self.buffer[request.head_bytes..];
        body.buffered_bytes = reader.feed(buffered, &mut body.bytes).map_err(Refused::Http)?;
        if request.expects_continue && !reader.is_complete() {
            write_all(&self.socket, CONTINUE).await.map_err(|_| Refused::Lost)?;
        }
        while !reader.is_complete() {
            let more = read_some(&self.core, &self.socket).await.map_err(|_| Refused::Lost)?;
            self.watch.set(Some(REQUEST_TIMEOUT_MS));
            let used = reader.feed(&more, &mut body.bytes).map_err(Refused::Http)?;
            body.surplus.extend_from_slice(&more[used..]);
        }
        Ok(body)
    }

    async fn refuse(&self, error: HttpError) -> Next<A> {
        self.core.metrics.reject(Rejection::BadRequest);
        let _ = self.write(&error_response(error), false, false).await;
        Next::Close
    }

    async fn write(&self, response: &Response, keep_alive: bool, is_head: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        push_response(&mut bytes, response, keep_alive, is_head);
        write_all(&self.socket, &bytes).await?;
        if !keep_alive {
            self.socket.shutdown_write();
        }
        Ok(())
    }

    /// Waits until the client closes the connection on which it waits for an answer.
    pub(super) async fn given_up(&self) {
        loop {
            if self.socket.readable().await.is_err() {
                return;
            }
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
        if let Ok(Ok(fd)) = fd {
            let visit = Visit { fd, bytes: buffer, hops: hops + 1 };
            core.post(to, Letter::Visit(Box::new(visit)));
        }
    }

    fn change_protocol(self, upgrade: &Upgrade, purpose: websocket::Purpose<A>) {
        let Self { core, socket, watch, buffer, .. } = self;
        let mut head = Vec::new();
        handshake::push_response(&mut head, upgrade);
        // The socket has just been accepted: a buffer that does not take 200 bytes belongs to nobody who waits for them.
        if socket.send(&head).is_ok_and(|count| count == head.len()) {
            websocket::begin(&core, socket, watch, purpose, buffer);
        }
    }
}

/// Why a body was not read.
enum Refused {
    Http(HttpError),
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
                core.metrics.bytes_in.add(bytes.len() as u64);
                core.count_share(bytes.len());
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        socket.readable().await?;
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
