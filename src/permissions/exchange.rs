//! One question over HTTP, and what its answer says. Everything but a clear yes or no is a failure.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use core_shards::access::{Outcome, Question};
use protocol::chat::room::{self, RoomKind};
use serde_json::{Value, json};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Proxy};

use super::{PermissionSettings, WORKERS};

/// The longest answer in bytes.
const REPLY_BYTES_MAX: u64 = 16 * 1024;

/// The longest time that an answer may hold, in seconds.
const TTL_S_MAX: f64 = 86_400.0;

/// What the webhook said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) is_allowed: bool,
    /// How long this holds, if it was said.
    pub(super) ttl_ms: Option<u64>,
}

/// The way to the webhook. Connections are kept between questions and shared by all workers.
#[derive(Clone)]
pub(super) struct Exchange {
    agent: Agent,
    url: String,
    signs: Option<Arc<hmac::Key>>,
    plugin_secret: Option<String>,
    timeout: Duration,
}

impl Exchange {
    pub(super) fn new(settings: &PermissionSettings) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::WebPki)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("realtime/", env!("CARGO_PKG_VERSION")))
            // An answer comes from the place that was configured, or there is none.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None::<Proxy>)
            .max_idle_connections(WORKERS)
            .max_idle_connections_per_host(WORKERS)
            .build()
            .new_agent();
        let signs = settings.secret.as_ref();
        Self {
            agent,
            url: settings.url.clone(),
            signs: signs.map(|secret| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))),
            plugin_secret: settings.plugin_secret.clone(),
            timeout: settings.timeout,
        }
    }

    /// Asks, and once more if a kept connection turns out to be dead: the webhook closed it while the question was
    /// on its way.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn ask(&self, question: &Question) -> Result<Reply, Outcome> {
        let begin = Instant::now();
        let body = body(question);
        let answered = match self.send(&body, self.timeout) {
            Err(Error::Io(error)) if is_dead(error.kind()) => {
                self.send(&body, self.timeout.saturating_sub(begin.elapsed()))
            }
            answered => answered,
        };
        let (status, text) = answered.map_err(|error| outcome_of(&error))?;
        if status != 200 {
            return Err(Outcome::Status);
        }
        read(&text).ok_or(Outcome::Malformed)
    }

    fn send(&self, body: &str, timeout: Duration) -> Result<(u16, Vec<u8>), Error> {
        let request = self.agent.post(&self.url).header("Content-Type", "application/json");
        let request = match &self.signs {
            Some(key) => request.header("X-Realtime-Signature", signature(key, body)),
            None => request,
        };
        let request = match &self.plugin_secret {
            Some(secret) => request.header("X-Plugin-Secret", secret),
            None => request,
        };
        let request = request.config().timeout_global(Some(timeout)).build();
        let answer = request.send(body)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Ok((status, Vec::new()));
        }
        let text = answer.into_body().into_with_config().limit(REPLY_BYTES_MAX).read_to_vec()?;
        Ok((status, text))
    }
}

/// `{userId, channelId, roomName, roomType, action, roles, sessionId}`: `general` is channel `general` and room
/// `channel:general`; threads and direct conversations have one name for both.
fn body(question: &Question) -> String {
    let (kind, id) = room::split(&question.channel);
    let room_name = match kind {
        RoomKind::Channel => format!("channel:{id}"),
        RoomKind::Thread | RoomKind::User | RoomKind::Direct => question.channel.to_string(),
    };
    let body = json!({
        "userId": &*question.user,
        "channelId": &*question.channel,
        "roomName": room_name,
        "roomType": kind.name(),
        "action": question.action,
        "roles": question.roles,
        "sessionId": &*question.session,
    });
    body.to_string()
}

/// `sha256=` and the HMAC-SHA256 of the body (RFC 2104) in hexadecimal digits.
fn signature(key: &hmac::Key, body: &str) -> String {
    let mut text = "sha256=".to_owned();
    for byte in hmac::sign(key, body.as_bytes()).as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Reads `{allowed, ttl?}`, the time in seconds; none if it does not say whether.
fn read(text: &[u8]) -> Option<Reply> {
    let reply: Value = serde_json::from_slice(text).ok()?;
    let ttl_s = reply.get("ttl").and_then(Value::as_f64).filter(|ttl_s| *ttl_s >= 0.0);
    Some(Reply {
        is_allowed: reply.get("allowed")?.as_bool()?,
        ttl_ms: ttl_s.map(|ttl_s| (ttl_s.min(TTL_S_MAX) * 1000.0) as u64),
    })
}

fn is_dead(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn outcome_of(error: &Error) -> Outcome {
    match error {
        Error::Timeout(_) => Outcome::Timeout,
        Error::Io(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            Outcome::Timeout
        }
        Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) | Error::Protocol(_) => {
            Outcome::Malformed
        }
        _ => Outcome::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use core_shards::CoreId;

    use super::*;

    fn question(channel: &str) -> Question {
        Question {
            core: CoreId(0),
            key: 1,
            user: "ada \"7\"".into(),
            channel: channel.into(),
            roles: Box::new(["member".into()]),
            session: "s1".into(),
            action: "join",
        }
    }

    #[test]
    fn a_question_names_user_and_room() {
        let check = |channel: &str, id: &str, name: &str, kind: &str| {
            let body: Value = serde_json::from_str(&body(&question(channel))).unwrap();
            let expected = json!({
                "userId": "ada \"7\"", "channelId": id, "roomName": name, "roomType": kind,
                "action": "join", "roles": ["member"], "sessionId": "s1",
            });
            assert_eq!(body, expected);
        };
        check("general", "general", "channel:general", "channel");
        check("private:x", "private:x", "channel:private:x", "channel");
        check("thread:9", "thread:9", "thread:9", "thread");
        check("dm:x", "dm:x", "dm:x", "dm");
    }

    #[test]
    fn only_a_clear_answer_is_one() {
        let check = |text: &str, expected: Option<(bool, Option<u64>)>| {
            let reply = read(text.as_bytes()).map(|reply| (reply.is_allowed, reply.ttl_ms));
            assert_eq!(reply, expected, "{text}");
        };
        check(r#"{"allowed":true}"#, Some((true, None)));
        check(r#"{"allowed":false,"reason":"no","role":"guest"}"#, Some((false, None)));
        check(r#"{"allowed":true,"ttl":1.5}"#, Some((true, Some(1_500))));
        check(r#"{"allowed":true,"ttl":0}"#, Some((true, Some(0))));
        check(r#"{"allowed":true,"ttl":1e300}"#, Some((true, Some(86_400_000))));
        check(r#"{"allowed":true,"ttl":-1}"#, Some((true, None)));
        check(r#"{"allowed":true,"ttl":"60"}"#, Some((true, None)));
        for text in [r#"{"allowed":"true"}"#, r#"{"allowed":1}"#, "{}", "true", "[]", "", "{\"allowed\":tru"]
        {
            check(text, None);
        }
        check(&"[".repeat(16_000), None);
    }

    /// Test case 2 of RFC 4231.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&key, "what do ya want for nothing?"), expected);
    }
}
