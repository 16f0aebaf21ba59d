//! An application whose nodes know each other: what is said to one of their sessions is said back. They run in the test's
//! own process, and a courier carries what they forward to each other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, mpsc};

use core_shards::outputs::Ticket;
use core_shards::{CoreId, MailClass, Now, Outputs, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::sid::NodeName;
use protocol::http::Request;
use protocol::http::response::Response;
use protocol::relay::forward::Forwarding;
use protocol::websocket::frame::{Opcode, push_frame};
use realtime::engine::application::Message;
use realtime::engine::threads::Engine;
use realtime::engine::{Application, Incoming, Opening, Postbox, Reply, Settings, Step};

use super::desk;

/// Who carries what is forwarded: to whom, and which words. Words for nobody in the list are refused.
#[derive(Clone)]
pub(crate) struct Courier {
    known: Arc<Mutex<HashMap<NodeName, Option<Postbox<Branch>>>>>,
    words: mpsc::Sender<(NodeName, Vec<u8>)>,
}

impl Courier {
    /// A courier who knows nobody.
    pub(crate) fn new() -> Self {
        let known: Arc<Mutex<HashMap<NodeName, Option<Postbox<Branch>>>>> = Arc::default();
        let (words, carried) = mpsc::channel::<(NodeName, Vec<u8>)>();
        let addresses = known.clone();
        std::thread::spawn(move || {
            for (node, bytes) in carried {
                let postbox = addresses.lock().unwrap().get(&node).cloned().flatten();
                if let Some(postbox) = postbox {
                    let _ = postbox.post(CoreId(0), bytes);
                }
            }
        });
        Self { known, words }
    }

    /// A node that takes what it is told and never answers.
    pub(crate) fn know_deaf(&self, node: &str) {
        self.known.lock().unwrap().insert(name(node), None);
    }
}

/// A node's name.
pub(crate) fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

/// Opens a node of two cores.
pub(crate) fn open(node: &str, courier: &Courier) -> Engine<Branch> {
    let settings = Settings { node: Some(name(node)), ..desk::settings() };
    let sent_with = courier.clone();
    let engine = Engine::start(settings, desk::driver(), 2, ([127, 0, 0, 1], 0).into(), move |_, _, _| {
        Branch { courier: sent_with.clone(), forwarded: Vec::new() }
    })
    .unwrap();
    courier.known.lock().unwrap().insert(name(node), Some(engine.postbox()));
    engine
}

/// One core's share of a node.
pub(crate) struct Branch {
    courier: Courier,
    forwarded: Vec<Forwarding>,
}

impl Application for Branch {
    type Mail = Vec<u8>;
    type Passport = Infallible;

    fn class(_: &Vec<u8>) -> MailClass {
        MailClass::Request
    }

    fn handle_open(&mut self, _: SessionId, _: Opening, _: Now, _: &mut Outputs<Vec<u8>>) {}

    fn handle_packet(
        &mut self,
        _: SessionId,
        _: &Incoming<'_>,
        _: Now,
        _: &mut Outputs<Vec<u8>>,
    ) -> Step<Infallible> {
        Step::Stay
    }

    fn handle_message(
        &mut self,
        session: SessionId,
        message: Message<'_>,
        _: Now,
        out: &mut Outputs<Vec<u8>>,
    ) {
        if let Message::Text(text) = message {
            out.send(session, |frames| push_frame(frames, Opcode::Text, format!("4{text}").as_bytes()));
        }
    }

    fn handle_arrival(&mut self, _: SessionId, passport: Infallible, _: Now, _: &mut Outputs<Vec<u8>>) {
        match passport {}
    }

    fn handle_close(&mut self, _: SessionId, _: CloseReason, _: Now, _: &mut Outputs<Vec<u8>>) {}

    fn handle_mail(&mut self, _: CoreId, words: Vec<u8>, _: Now, _: &mut Outputs<Vec<u8>>) {
        self.forwarded.extend(Forwarding::read(&words));
    }

    fn handle_time(&mut self, _: Now, _: &mut Outputs<Vec<u8>>) {}

    fn next_deadline_ms(&self) -> Option<u64> {
        None
    }

    fn forward(&mut self, node: NodeName, forwarding: &Forwarding, _: Now, _: &mut Outputs<Vec<u8>>) -> bool {
        let is_known = self.courier.known.lock().unwrap().contains_key(&node);
        let mut bytes = Vec::new();
        forwarding.write(&mut bytes);
        is_known && self.courier.words.send((node, bytes)).is_ok()
    }

    fn take_forwarded(&mut self) -> Vec<Forwarding> {
        std::mem::take(&mut self.forwarded)
    }

    fn handle_request(
        &mut self,
        _: &Request<'_>,
        _: &[u8],
        _: Ticket,
        _: Now,
        _: &mut Outputs<Vec<u8>>,
    ) -> Reply {
        Reply::Now(Response::empty(404))
    }
}
