//! The events: who comes in, joins, leaves and talks.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use socketioxide::extract::{AckSender, Extension, SocketRef, State, TryData};
use uuid::Uuid;

use crate::token::{Auth, Verifier};

const CHANNEL_BYTES_MAX: usize = 255;
const CONTENT_CHARS_MAX: usize = 10_000;

/// The id of the user, kept with the socket.
#[derive(Clone)]
pub struct User(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinRequest {
    channel_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendRequest {
    channel_id: String,
    content: String,
    #[serde(default)]
    mentions: Vec<String>,
    client_message_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    id: &'a str,
    message_id: &'a str,
    channel_id: &'a str,
    user_id: &'a str,
    content: &'a str,
    mentions: &'a [String],
    r#type: &'static str,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connected<'a> {
    socket_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authenticated<'a> {
    user_id: &'a str,
    session_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Joined<'a> {
    success: bool,
    channel_id: &'a str,
    user_id: &'a str,
    timestamp: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    success: bool,
    message_id: &'a str,
    timestamp: u64,
}

#[derive(Serialize)]
struct Refused {
    success: bool,
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: &'static str,
}

/// Lets in who has a good token.
pub async fn authenticate(
    socket: SocketRef,
    TryData(auth): TryData<Auth>,
    verifier: State<Verifier>,
) -> Result<(), impl Display> {
    let user = verifier.user_of(auth.map_err(|_| "Invalid token".to_owned())?)?;
    socket.extensions.insert(User(user));
    Ok::<(), String>(())
}

/// Says hello and listens from then on.
pub async fn welcome(socket: SocketRef, Extension(user): Extension<User>) {
    // What cannot be sent is for a socket that has gone already; here and below.
    let session_id = socket.id.to_string();
    let _ = socket.emit("connected", &Connected { socket_id: &session_id });
    let _ = socket.emit("authenticated", &Authenticated { user_id: &user.0, session_id: &session_id });
    socket.on("channel:join", join);
    socket.on("channel:leave", leave);
    socket.on("message:send", send);
}

async fn join(
    socket: SocketRef,
    TryData(request): TryData<JoinRequest>,
    Extension(user): Extension<User>,
    ack: AckSender,
) {
    let Some(channel_id) = request.ok().map(|request| request.channel_id).filter(|id| is_channel(id)) else {
        return refuse(ack, "VALIDATION_ERROR", "channelId is required");
    };
    socket.join(room(&channel_id));
    let joined = Joined { success: true, channel_id: &channel_id, user_id: &user.0, timestamp: now_ms() };
    let _ = socket.emit("channel:joined", &joined);
    let _ = ack.send(&joined);
}

async fn leave(
    socket: SocketRef,
    TryData(request): TryData<JoinRequest>,
    Extension(user): Extension<User>,
    ack: AckSender,
) {
    let Some(channel_id) = request.ok().map(|request| request.channel_id).filter(|id| is_channel(id)) else {
        return refuse(ack, "VALIDATION_ERROR", "channelId is required");
    };
    socket.leave(room(&channel_id));
    let left = Joined { success: true, channel_id: &channel_id, user_id: &user.0, timestamp: now_ms() };
    let _ = socket.emit("channel:left", &left);
    let _ = ack.send(&left);
}

async fn send(
    socket: SocketRef,
    TryData(request): TryData<SendRequest>,
    Extension(user): Extension<User>,
    ack: AckSender,
) {
    let Some(request) = request.ok().filter(|request| is_channel(&request.channel_id)) else {
        return refuse(ack, "VALIDATION_ERROR", "channelId is required");
    };
    if request.content.is_empty() || request.content.chars().count() > CONTENT_CHARS_MAX {
        return refuse(ack, "VALIDATION_ERROR", "content is empty or too long");
    }
    let room = room(&request.channel_id);
    if !socket.rooms().iter().any(|joined| *joined == room) {
        return refuse(ack, "NOT_JOINED", "join the channel first");
    }
    let (id, timestamp) = (Uuid::new_v4().to_string(), now_ms());
    let message = Message {
        id: &id,
        message_id: &id,
        channel_id: &request.channel_id,
        user_id: &user.0,
        content: &request.content,
        mentions: &request.mentions,
        r#type: "text",
        timestamp,
        client_message_id: request.client_message_id.as_deref(),
    };
    let _ = socket.within(room).emit("message", &message).await;
    let _ = ack.send(&Sent { success: true, message_id: &id, timestamp });
}

fn refuse(ack: AckSender, code: &'static str, message: &'static str) {
    let _ = ack.send(&Refused { success: false, error: Reason { code, message } });
}

fn is_channel(id: &str) -> bool {
    !id.is_empty() && id.len() <= CHANNEL_BYTES_MAX
}

fn room(channel_id: &str) -> String {
    format!("channel:{channel_id}")
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
