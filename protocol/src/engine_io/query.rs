//! The query of an Engine.IO request: revision, transport, session.

use std::borrow::Cow;

use super::error::ErrorCode;

/// How a session's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling: GET waits for packets, POST brings them.
    Polling,
    /// One WebSocket, a frame per packet.
    WebSocket,
}

impl Transport {
    /// The name in the query and in reports: `polling` or `websocket`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// A request's query, understood.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The transport asked for.
    pub transport: Transport,
    /// The session the request belongs to; `None` asks for a session. An empty `sid=` counts as none, as in Node.
    pub sid: Option<Cow<'a, str>>,
    raw: &'a str,
}

impl<'a> Query<'a> {
    /// All parameters in order and decoded, the application's own among them: `?EIO=4&name=a%20b`.
    ///
    /// What is not UTF-8 behind a `%` becomes U+FFFD.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        form_urlencoded::parse(self.raw.as_bytes())
    }

    /// The decoded value of a parameter; of several with the same name the last, as in Node.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }
}

/// Reads the part of a request target behind the `?`.
///
/// # Errors
/// As Node orders them: [`ErrorCode::TransportUnknown`] for a missing or unknown `transport`, then, unless `EIO` is
/// `4`, [`ErrorCode::UnsupportedVersion`] for a handshake and [`ErrorCode::BadRequest`] within a session. (Node would
/// say of an unknown session with a wrong `EIO` that the session is unknown.)
pub fn parse(query: &str) -> Result<Query<'_>, ErrorCode> {
    let (mut transport, mut revision, mut sid) = (None, None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "transport" => transport = Some(value),
            "EIO" => revision = Some(value),
            "sid" => sid = Some(value),
            _ => {}
        }
    }
    let transport = match transport.as_deref() {
        Some("polling") => Transport::Polling,
        Some("websocket") => Transport::WebSocket,
        _ => return Err(ErrorCode::TransportUnknown),
    };
    let sid = sid.filter(|sid| !sid.is_empty());
    if revision.as_deref() != Some("4") {
        return Err(if sid.is_some() { ErrorCode::BadRequest } else { ErrorCode::UnsupportedVersion });
    }
    Ok(Query { transport, sid, raw: query })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_and_requests_are_understood() {
        let check = |query, transport, sid: Option<&str>| {
            let query = parse(query).unwrap();
            assert_eq!((query.transport, query.sid.as_deref()), (transport, sid));
        };
        check("EIO=4&transport=polling", Transport::Polling, None);
        check("EIO=4&transport=polling&t=P0&sid=", Transport::Polling, None);
        check("transport=websocket&EIO=4&sid=a%2Db", Transport::WebSocket, Some("a-b"));
        check("EIO=3&transport=x&EIO=4&transport=websocket", Transport::WebSocket, None);
    }

    #[test]
    fn errors_come_in_nodes_order() {
        let check = |query, code| assert_eq!(parse(query).unwrap_err(), code, "{query}");
        check("", ErrorCode::TransportUnknown);
        check("EIO=4", ErrorCode::TransportUnknown);
        check("EIO=3&transport=abc", ErrorCode::TransportUnknown);
        check("EIO=4&transport=webtransport", ErrorCode::TransportUnknown);
        check("transport=polling", ErrorCode::UnsupportedVersion);
        check("EIO=3&transport=polling", ErrorCode::UnsupportedVersion);
        check("EIO=abc&transport=websocket", ErrorCode::UnsupportedVersion);
        check("EIO=3&transport=polling&sid=x", ErrorCode::BadRequest);
    }

    #[test]
    fn the_applications_own_parameters_are_kept() {
        let query = parse("EIO=4&transport=polling&fail&name=a+b%C3%A4&name=%ff").unwrap();
        assert_eq!(query.get("fail").as_deref(), Some(""));
        assert_eq!(query.get("name").as_deref(), Some("\u{fffd}"));
        assert_eq!(query.get("none"), None);
        assert_eq!(query.pairs().nth(3), Some(("name".into(), "a bä".into())));
    }
}
