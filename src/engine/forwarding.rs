//! Polling requests for sessions of other nodes: this one asks the node that the session id names and answers with what
//! that says; and it serves the requests that others ask for. How the words travel is the application's business.
//!
//! ```text
//! asker   requests::polling ─> pass_on ─> State::forward ─> Application::forward ~~~> the session's node
//! there   Application::take_forwarded ─> the session's core ─> serve ─> Application::forward ~~~> the asker
//! asker   Application::take_forwarded ─> the asking core ─> State::hear_forwarded ─> the waiting request
//! ```
//!
//! Nothing is repeated: a request whose answer is lost fails, and its client comes back with a new session.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use core_shards::{CoreId, Now, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::ErrorCode;
use protocol::engine_io::sid::NodeName;
use protocol::http::response::Response;
use protocol::relay::forward::{Asker, Forwarding, Step, Target};

use super::answers::Waiter;
use super::application::Application;
use super::core::Core;
use super::http::Connection;
use super::link::Transport;
use super::mailbox::Letter;
use super::metrics::Rejection;
use super::polling::payload_response;
use super::requests::{self, Begun, Outcome};
use super::settings::{
    FORWARD_HOLD_MS, FORWARD_TIMEOUT_MS, FORWARDED_BYTES_MAX, FORWARDS_MAX, HOPS_MAX, SERVED_MAX,
};
use super::state::{Deadline, Found, NOOP_PACKET, State, refusal};
use crate::rt::{self, Either};

/// The requests of one core that other nodes are to answer.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    last_number: u32,
    waiting: HashMap<u32, Forward>,
    /// Bytes of the requests that wait.
    bytes: usize,
    /// Requests of other nodes that are being served here.
    served_count: usize,
}

/// A request that another node is to answer.
#[derive(Debug)]
struct Forward {
    waiter: Rc<Waiter>,
    target: Target,
    is_poll: bool,
    bytes: usize,
    overdue_ms: u64,
}

/// Has another node answer a request, and waits for its answer.
pub(super) async fn pass_on<A: Application>(
    connection: &Connection<A>,
    target: Target,
    packets: Option<Vec<u8>>,
) -> Outcome<A> {
    let core = &connection.core;
    let (number, waiter) = match core.turn(|state, now| state.forward(target, packets, now)) {
        Ok(waiting) => waiting,
        Err(response) => return Outcome::Respond(response),
    };
    match rt::race(waiter.answered(), connection.given_up()).await {
        Either::Left(response) => Outcome::Respond(response),
        Either::Right(()) => {
            core.turn(|state, now| state.give_up_forward(number, now));
            Outcome::Close
        }
    }
}

/// Serves a request that came to another node. `hops` cores passed it on.
pub(super) fn serve<A: Application>(core: &Rc<Core<A>>, forwarding: Forwarding, hops: u8) {
    // In a task of its own: what the client sent is decoded there.
    let task_core = core.clone();
    core.start(async move {
        let core = &task_core;
        if !core.turn(|state, _| state.begin_to_serve()) {
            let busy = Response::json(503, r#"{"code":3,"message":"too many requests of other nodes"}"#);
            return answer(core, forwarding.asker, busy);
        }
        let _serving = Serving(core.clone());
        let Forwarding { asker, step } = forwarding;
        match step {
            Step::Poll(target) => serve_poll(core, asker, target, hops).await,
            Step::Post(target, packets) => serve_post(core, asker, target, packets, hops),
            Step::GiveUp(target) => core.turn(|state, now| state.forsake_poll(&target, now)),
            Step::Waits | Step::Answer { .. } => {}
        }
    });
}

/// A request of another node that is being served. Dropping it says that it is not any more.
struct Serving<A: Application>(Rc<Core<A>>);

impl<A: Application> Drop for Serving<A> {
    fn drop(&mut self) {
        self.0.turn(|state, _| state.forwards.served_count -= 1);
    }
}

async fn serve_poll<A: Application>(core: &Rc<Core<A>>, asker: Asker, target: Target, hops: u8) {
    let (id, waiter) = match requests::begin_poll(core, &target.sid, target.surface).await {
        Begun::Answered(response) => return answer(core, asker, response),
        Begun::Elsewhere(to) if hops < HOPS_MAX => {
            let forwarding = Forwarding { asker, step: Step::Poll(target) };
            return core.post(to, Letter::Forwarded(Box::new(forwarding), hops + 1));
        }
        Begun::Elsewhere(_) => return answer(core, asker, refusal(ErrorCode::SessionUnknown)),
        Begun::Waiting(id, waiter) => (id, waiter),
    };
    say(core, asker, Step::Waits);
    let hold = Duration::from_millis(FORWARD_HOLD_MS);
    match rt::race(waiter.answered(), rt::sleep(hold)).await {
        Either::Left(response) => answer(core, asker, response),
        // The asker would take a longer silence for the end of this node. The client polls again.
        Either::Right(()) => {
            core.turn(|state, _| state.release_poll(id, &waiter));
            answer(core, asker, waiter.take().unwrap_or_else(|| payload_response(NOOP_PACKET.to_vec())));
        }
    }
}

fn serve_post<A: Application>(core: &Rc<Core<A>>, asker: Asker, target: Target, packets: Vec<u8>, hops: u8) {
    match core.turn(|state, now| state.find(&target.sid, target.surface, now)) {
        Found::Here(id) => {
            requests::take_body(core, id, target.surface, &packets);
            answer(core, asker, requests::taken());
        }
        Found::Elsewhere(to) if hops < HOPS_MAX => {
            let forwarding = Forwarding { asker, step: Step::Post(target, packets) };
            core.post(to, Letter::Forwarded(Box::new(forwarding), hops + 1));
        }
        Found::Elsewhere(_) | Found::Foreign | Found::Unknown => {
            answer(core, asker, refusal(ErrorCode::SessionUnknown));
        }
    }
}

fn answer<A: Application>(core: &Rc<Core<A>>, asker: Asker, response: Response) {
    let Response { status, content_type, body, .. } = response;
    say(core, asker, Step::Answer { status, content_type, body });
}

fn say<A: Application>(core: &Rc<Core<A>>, asker: Asker, step: Step) {
    let forwarding = Forwarding { asker, step };
    core.turn(|state, now| state.app.forward(asker.node, &forwarding, now, &mut state.out));
}

impl<A: Application> State<A> {
    /// Asks another node. Returns the request's number and where its answer comes to, or the answer.
    fn forward(
        &mut self,
        target: Target,
        packets: Option<Vec<u8>>,
        now: Now,
    ) -> Result<(u32, Rc<Waiter>), Response> {
        let (Some(here), Some(node)) = (self.node(), target.sid.node) else {
            return Err(refusal(ErrorCode::SessionUnknown));
        };
        let (is_poll, bytes) = (packets.is_none(), packets.as_ref().map_or(0, Vec::len));
        let forwards = &mut self.forwards;
        if forwards.waiting.len() >= FORWARDS_MAX || forwards.bytes + bytes > FORWARDED_BYTES_MAX {
            self.metrics.reject(Rejection::Busy);
            let body = r#"{"code":3,"message":"too many requests wait for other nodes"}"#;
            return Err(Response::json(503, body).with("Retry-After", "1"));
        }
        forwards.last_number = forwards.last_number.wrapping_add(1);
        let number = forwards.last_number;
        let asker = Asker { node: here, core: self.core.0, number };
        let step = match packets {
            None => Step::Poll(target),
            Some(packets) => Step::Post(target, packets),
        };
        self.metrics.forwarded.increment();
        if !self.app.forward(node, &Forwarding { asker, step }, now, &mut self.out) {
            self.metrics.reject(Rejection::Unreachable);
            return Err(unreachable(node));
        }
        let waiter = Rc::new(Waiter::default());
        let overdue_ms = now.monotonic_ms() + FORWARD_TIMEOUT_MS;
        let forward = Forward { waiter: waiter.clone(), target, is_poll, bytes, overdue_ms };
        self.forwards.bytes += bytes;
        self.forwards.waiting.insert(number, forward);
        self.wheel.arm(overdue_ms, Deadline::Forward(number));
        Ok((number, waiter))
    }

    /// Takes the words that other nodes have for this one to the cores that they concern.
    pub(super) fn deal_out_forwarded(&mut self) {
        for forwarding in self.app.take_forwarded() {
            let core = match &forwarding.step {
                Step::Poll(target) | Step::Post(target, _) | Step::GiveUp(target) => target.sid.core,
                Step::Waits | Step::Answer { .. } => forwarding.asker.core,
            };
            // One of a former run of the node, which had more cores.
            if core < self.shared.core_count() {
                self.outbox.post(CoreId(core), Letter::Forwarded(Box::new(forwarding), 0));
            }
        }
    }

    /// Another node has said something about a request of this core.
    pub(super) fn hear_forwarded(&mut self, forwarding: Forwarding, now: Now) {
        let number = forwarding.asker.number;
        match forwarding.step {
            Step::Answer { status, content_type, body } => {
                if let Some(forward) = self.take_forward(number) {
                    forward.waiter.answer(Response::new(status, content_type, body));
                }
            }
            Step::Waits => {
                let forward = self.forwards.waiting.get_mut(&number).filter(|forward| forward.is_poll);
                if let Some(forward) = forward {
                    forward.overdue_ms = now.monotonic_ms() + FORWARD_HOLD_MS + FORWARD_TIMEOUT_MS;
                }
            }
            Step::Poll(_) | Step::Post(..) | Step::GiveUp(_) => {}
        }
    }

    /// The answer of another node may be overdue.
    pub(super) fn check_forward(&mut self, number: u32, now: Now) {
        let Some(forward) = self.forwards.waiting.get(&number) else { return };
        if forward.overdue_ms > now.monotonic_ms() {
            return self.wheel.arm(forward.overdue_ms, Deadline::Forward(number));
        }
        self.metrics.reject(Rejection::Unreachable);
        if let Some(forward) = self.take_forward(number)
            && let Some(node) = forward.target.sid.node
        {
            forward.waiter.answer(unreachable(node));
        }
    }

    /// The client has gone: the session's node is to know.
    fn give_up_forward(&mut self, number: u32, now: Now) {
        let Some(forward) = self.take_forward(number).filter(|forward| forward.is_poll) else { return };
        if let (Some(here), Some(node)) = (self.node(), forward.target.sid.node) {
            let asker = Asker { node: here, core: self.core.0, number };
            let forwarding = Forwarding { asker, step: Step::GiveUp(forward.target) };
            self.app.forward(node, &forwarding, now, &mut self.out);
        }
    }

    /// Answers every request that waits for another node, for a node that goes down.
    pub(super) fn end_forwards(&mut self) {
        self.forwards.bytes = 0;
        for (_, forward) in self.forwards.waiting.drain() {
            let body = r#"{"code":3,"message":"the node is going down: reconnect"}"#;
            forward.waiter.answer(Response::json(503, body));
        }
    }

    fn take_forward(&mut self, number: u32) -> Option<Forward> {
        let forward = self.forwards.waiting.remove(&number)?;
        self.forwards.bytes -= forward.bytes;
        Some(forward)
    }

    fn begin_to_serve(&mut self) -> bool {
        let has_room = self.forwards.served_count < SERVED_MAX;
        if has_room {
            self.forwards.served_count += 1;
            self.metrics.served.increment();
        } else {
            self.metrics.reject(Rejection::Busy);
        }
        has_room
    }

    /// A poll that waits is answered without packets; the session stays.
    fn release_poll(&mut self, id: SessionId, waiter: &Rc<Waiter>) {
        if let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport)
            && polling.waiter.as_ref().is_some_and(|current| Rc::ptr_eq(current, waiter))
        {
            polling.waiter = None;
        }
    }

    /// The client of another node has given up its poll: the session is lost, as the protocol says.
    fn forsake_poll(&mut self, target: &Target, now: Now) {
        match self.find(&target.sid, target.surface, now) {
            Found::Here(id) => {
                let link = self.links.get_mut(id);
                if let Some(Transport::Polling(polling)) = link.map(|link| &mut link.transport)
                    && let Some(waiter) = polling.waiter.take()
                {
                    // Whoever serves the poll stops waiting.
                    waiter.answer(payload_response(NOOP_PACKET.to_vec()));
                    self.out.close(id, CloseReason::TransportLost);
                }
            }
            // It moved in between. Its heartbeat ends it.
            Found::Elsewhere(_) | Found::Foreign | Found::Unknown => {}
        }
    }
}

/// The answer to a request whose session's node says nothing.
fn unreachable(node: NodeName) -> Response {
    let code = ErrorCode::SessionUnknown;
    let message = code.message();
    let name = node.as_str();
    let body = format!("{{\"code\":{},\"message\":\"{message}: node {name} does not answer\"}}", code as u8);
    Response::json(code.status(), body)
}
