//! REST: who calls, what is asked, and whether the caller may ask it in that name. What is done about it is the shard's
//! business, and the answer comes later.

use core_shards::mail::{Caller as ShardCaller, Deed, Question, Since, TypingTurn};
use core_shards::outputs::Ticket;
use core_shards::shard::owned_since;
use core_shards::{Broadcast, ChannelName, Now, Outputs, UserId};
use protocol::chat::event::{self, Kind};
use protocol::chat::request::Refusal;
use protocol::chat::rest;
use protocol::codes::ErrorCode;
use protocol::http::head::{Method, Request};
use protocol::http::query;
use protocol::http::response::Response;
use protocol::json::Json;

use super::ChatNode;
use crate::auth::Caller;
use crate::engine::application::Reply;
use crate::engine::settings::STRANGER_BODY_BYTES_MAX;

/// How far back a poll looks that does not say from where, in milliseconds.
const POLL_DEFAULT_MS: u64 = 60_000;

/// A REST route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    /// `GET` or `POST /presence/<channelId>`, or `POST /presence`. The segment is not decoded yet.
    Presence(Option<&'a str>),
    /// `POST /typing`.
    Typing,
    /// `POST /messages`.
    Messages,
    /// `GET /poll`.
    Poll,
    /// `POST /api/broadcast`.
    Broadcast,
    /// `POST /api/broadcast/batch`.
    BroadcastBatch,
    /// `POST /api/permissions/invalidate`.
    Invalidate,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/presence" => Some(Self::Presence(None)),
            "/typing" => Some(Self::Typing),
            "/messages" => Some(Self::Messages),
            "/poll" => Some(Self::Poll),
            "/api/broadcast" => Some(Self::Broadcast),
            "/api/broadcast/batch" => Some(Self::BroadcastBatch),
            "/api/permissions/invalidate" => Some(Self::Invalidate),
            _ => path
                .strip_prefix("/presence/")
                .filter(|id| !id.contains('/'))
                .map(|id| Self::Presence(Some(id))),
        }
    }

    /// The methods that it has, as `Allow` lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Presence(Some(_)) => "GET, POST",
            Self::Poll => "GET",
            Self::Presence(None)
            | Self::Typing
            | Self::Messages
            | Self::Broadcast
            | Self::BroadcastBatch
            | Self::Invalidate => "POST",
        }
    }

    const fn has(self, method: Method) -> bool {
        match method {
            Method::Get => matches!(self, Self::Presence(Some(_)) | Self::Poll),
            Method::Post => !matches!(self, Self::Poll),
            _ => false,
        }
    }

    /// Whether it is for back ends with the server's key alone.
    const fn needs_key(self) -> bool {
        matches!(self, Self::Broadcast | Self::BroadcastBatch | Self::Invalidate)
    }
}

/// A request that came in, with where its answer goes.
struct Incoming<'a> {
    caller: Caller,
    body: Json<'a>,
    ticket: Ticket,
    now: Now,
}

impl ChatNode {
    /// Callers who show who they are may send as much as members.
    pub(super) fn rest_body_bytes_max(&self, request: &Request<'_>) -> usize {
        let is_known =
            Route::of(request.path).is_some() && self.parts.verifier.authenticate_rest(request).is_ok();
        if is_known { usize::MAX } else { STRANGER_BODY_BYTES_MAX }
    }

    /// Answers a REST request, or has it answered later; none if it is for another page.
    pub(super) fn call(
        &mut self,
        request: &Request<'_>,
        body: &[u8],
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Reply> {
        let route = Route::of(request.path)?;
        let outcome = self.carry_out(route, request, body, ticket, now, out);
        Some(match outcome {
            Ok(()) => Reply::Later,
            Err(response) => Reply::Now(response),
        })
    }

    fn carry_out(
        &mut self,
        route: Route<'_>,
        request: &Request<'_>,
        body: &[u8],
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Response> {
        if !route.has(request.method) {
            let response = refused(ErrorCode::MethodNotAllowed, "this path has other methods");
            return Err(response.with("Allow", route.methods()));
        }
        let caller = self.parts.verifier.authenticate_rest(request).map_err(|denial| {
            let (code, message) = self.denied(denial);
            refused(code, message).with("WWW-Authenticate", "Bearer")
        })?;
        if route.needs_key() && !matches!(caller, Caller::Server) {
            return Err(refused(ErrorCode::Forbidden, "this is for back ends with the server's key"));
        }
        if request.method == Method::Get {
            return match route {
                Route::Presence(segment) => self.tell_presence(segment, caller, ticket, now, out),
                _ => self.poll(request.query, caller, ticket, now, out),
            }
            .map_err(|refusal| refusal_response(&refusal));
        }
        let text = std::str::from_utf8(body)
            .map_err(|_| refused(ErrorCode::ValidationError, "the body is not UTF-8"))?;
        let mut validator = std::mem::take(&mut self.validator);
        let outcome = match validator.check(text) {
            Ok(body) => self.post(route, Incoming { caller, body, ticket, now }, out),
            Err(_) => Err(Refusal::new(ErrorCode::ValidationError, "the body must be a JSON object")),
        };
        self.validator = validator;
        outcome.map_err(|refusal| refusal_response(&refusal))
    }

    fn post(&mut self, route: Route<'_>, incoming: Incoming<'_>, out: &mut Outputs) -> Result<(), Refusal> {
        match route {
            Route::Messages => self.post_message(incoming, out),
            Route::Typing => self.post_typing(incoming, out),
            Route::Presence(segment) => self.post_presence(segment, incoming, out),
            Route::Broadcast => {
                let broadcast = broadcast_of(&rest::parse_broadcast(incoming.body)?);
                self.shard.handle_broadcast(incoming.ticket, vec![broadcast], incoming.now, out);
                Ok(())
            }
            Route::BroadcastBatch => {
                let broadcasts = rest::parse_batch(incoming.body)?.iter().map(broadcast_of).collect();
                self.shard.handle_broadcast(incoming.ticket, broadcasts, incoming.now, out);
                Ok(())
            }
            Route::Invalidate => {
                let invalidation = rest::parse_invalidation(incoming.body)?;
                if invalidation.user.is_none() && invalidation.channel.is_none() {
                    let vague = "name a userId, a channelId, or both";
                    return Err(Refusal::new(ErrorCode::ValidationError, vague));
                }
                let user = invalidation.user.as_deref().map(UserId::from);
                let channel = invalidation.channel.as_deref().map(ChannelName::from);
                self.shard.handle_revocation(user, channel, incoming.now, out);
                let mut body = Vec::new();
                rest::push_success(&mut body);
                out.answer(incoming.ticket, Response::json(200, body));
                Ok(())
            }
            // It has no POST, which was looked at before.
            Route::Poll => Ok(()),
        }
    }

    fn post_message(&mut self, incoming: Incoming<'_>, out: &mut Outputs) -> Result<(), Refusal> {
        let message = rest::parse_message(incoming.body)?;
        let (user, name, caller) = in_the_name_of(&message.user, incoming.caller)?;
        let send = &message.send;
        if core_shards::shard::is_longer(send.content, self.parts.limits.message_chars_max) {
            return Err(Refusal::new(ErrorCode::PayloadTooLarge, "content is too long").about(&send.channel));
        }
        let mut body = Vec::new();
        event::push_message_body(&mut body, &user, name.as_deref(), send);
        let client_message_id = send.client_message_id.as_deref().map(Box::from);
        let deed = Deed::Publish { kind: Kind::Message, body, client_message_id };
        let channel = ChannelName::from(&*send.channel);
        self.shard.handle_call(incoming.ticket, caller, user, channel, deed, incoming.now, out);
        Ok(())
    }

    fn post_typing(&mut self, incoming: Incoming<'_>, out: &mut Outputs) -> Result<(), Refusal> {
        let post = rest::parse_typing(incoming.body)?;
        let (user, _, caller) = in_the_name_of(&post.user, incoming.caller)?;
        let thread = post.typing.thread.as_deref().map(Box::from);
        let turn = match post.typing.is_typing {
            true => TypingTurn::Start { thread, room_type: post.typing.room_type },
            false => TypingTurn::Stop { thread },
        };
        let channel = ChannelName::from(&*post.typing.channel);
        self.shard.handle_call(incoming.ticket, caller, user, channel, Deed::Type(turn), incoming.now, out);
        Ok(())
    }

    fn post_presence(
        &mut self,
        segment: Option<&str>,
        incoming: Incoming<'_>,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let channel = segment.map(decoded).transpose()?;
        let post = rest::parse_presence(incoming.body, channel.as_deref())?;
        let (user, _, caller) = in_the_name_of(&post.user, incoming.caller)?;
        let deed = Deed::Ask(Question::SetPresence { user: user.clone(), status: post.update.status });
        let channel = ChannelName::from(&*post.channel);
        self.shard.handle_call(incoming.ticket, caller, user, channel, deed, incoming.now, out);
        Ok(())
    }

    fn tell_presence(
        &mut self,
        segment: Option<&str>,
        caller: Caller,
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let name = decoded(segment.unwrap_or_default())?;
        let channel = protocol::chat::room::canonical(name.into())?;
        self.ask_channel(&channel, Question::Presence, caller, ticket, now, out);
        Ok(())
    }

    fn poll(
        &mut self,
        parameters: &str,
        caller: Caller,
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        if parameters.split('&').any(|pair| query::decode_path(pair).is_none()) {
            return Err(Refusal::new(ErrorCode::ValidationError, "the query has a broken escape"));
        }
        let poll = rest::parse_poll(query::parameters(parameters))?;
        let since = poll.since.as_ref().map_or(Since::Time(now.unix_ms - POLL_DEFAULT_MS), owned_since);
        let question = Question::Poll { since, wait_ms: 1_000 * poll.wait_s, limit: poll.limit };
        self.ask_channel(&poll.channel, question, caller, ticket, now, out);
        Ok(())
    }

    fn ask_channel(
        &mut self,
        channel: &str,
        question: Question,
        caller: Caller,
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) {
        let channel = ChannelName::from(channel);
        match caller {
            Caller::Server | Caller::Open => self.shard.handle_question(ticket, channel, question, now, out),
            Caller::User(identity) => {
                let caller = ShardCaller::User { roles: identity.roles.into(), grants: identity.grants };
                let deed = Deed::Ask(question);
                self.shard.handle_call(ticket, caller, identity.user, channel, deed, now, out);
            }
        }
    }
}

/// The user, display name and rights of a call: a token's user acts for nobody else.
fn in_the_name_of(
    user: &str,
    caller: Caller,
) -> Result<(UserId, Option<std::sync::Arc<str>>, ShardCaller), Refusal> {
    match caller {
        Caller::Server | Caller::Open => Ok((UserId::from(user), None, ShardCaller::Server)),
        Caller::User(identity) if *identity.user == *user => {
            let caller = ShardCaller::User { roles: identity.roles.into(), grants: identity.grants };
            Ok((identity.user, identity.name, caller))
        }
        Caller::User(_) => Err(Refusal::new(ErrorCode::Forbidden, "userId is not the token's user")),
    }
}

fn broadcast_of(post: &rest::BroadcastPost<'_>) -> Broadcast {
    Broadcast {
        event: (*post.event).into(),
        channels: post.rooms.iter().map(|room| ChannelName::from(&**room)).collect(),
        payload: post.payload.as_raw().as_bytes().to_vec(),
        event_id: post.event_id.as_deref().map(Box::from),
    }
}

fn decoded(segment: &str) -> Result<String, Refusal> {
    let broken = Refusal::new(ErrorCode::ValidationError, "the path has a broken escape");
    query::decode_path(segment).ok_or(broken)
}

fn refused(code: ErrorCode, message: &str) -> Response {
    core_shards::shard::refused(code, message, None)
}

fn refusal_response(refusal: &Refusal) -> Response {
    core_shards::shard::refused(refusal.code, refusal.message, refusal.retry_after_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_known_by_its_path_and_has_its_methods() {
        let check = |path: &str, methods: Option<&str>| {
            assert_eq!(Route::of(path).map(Route::methods), methods, "{path}");
        };
        check("/presence", Some("POST"));
        check("/presence/general", Some("GET, POST"));
        check("/presence/a%2Fb", Some("GET, POST"));
        check("/presence/a/b", None);
        check("/poll", Some("GET"));
        check("/messages", Some("POST"));
        check("/api/broadcast/batch", Some("POST"));
        check("/api", None);
        for path in ["/presence", "/presence/a", "/typing", "/poll", "/api/broadcast"] {
            let route = Route::of(path).expect("a route");
            for (method, name) in [(Method::Get, "GET"), (Method::Post, "POST"), (Method::Put, "PUT")] {
                assert_eq!(route.has(method), route.methods().contains(name), "{path} {name}");
            }
        }
    }
}
