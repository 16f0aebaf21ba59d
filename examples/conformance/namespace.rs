//! The namespaces of Socket.IO that exist, by profile, and whom they turn away.

use protocol::json::Json;

use super::handshake::Handshake;
use super::options::Profile;

/// A namespace that a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Namespace {
    /// `/`
    Main,
    /// `/custom`: the events of the protocol suites.
    Custom,
    /// `/foo`
    Foo,
    /// `/abc`: tells its clients of their handshake.
    Abc,
    /// `/no`: turns everybody away.
    No,
    /// `/asd`
    Asd,
    /// `/valid`
    Valid,
    /// `/timeout_socket`
    TimeoutSocket,
    /// `/interop`: rooms, kicks, drops, bursts.
    Interop,
}

/// Why a client may not join; the message and data of a CONNECT_ERROR.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    /// The message.
    pub(crate) message: &'static str,
    /// JSON, if there is more to say.
    pub(crate) data: Option<&'static str>,
}

/// What a client of a namespace that does not exist is told.
pub(crate) const INVALID: Refusal = Refusal { message: "Invalid namespace", data: None };

impl Namespace {
    const ALL: [Self; 9] = [
        Self::Main,
        Self::Custom,
        Self::Foo,
        Self::Abc,
        Self::No,
        Self::Asd,
        Self::Valid,
        Self::TimeoutSocket,
        Self::Interop,
    ];

    /// The namespace under a path, if the profile has it.
    pub(crate) fn find(path: &str, profile: Profile) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|namespace| namespace.path() == path)?;
        let is_basic = matches!(found, Self::Main | Self::Custom);
        (is_basic || profile != Profile::Protocol).then_some(found)
    }

    /// The path, as packets name it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Main => "/",
            Self::Custom => "/custom",
            Self::Foo => "/foo",
            Self::Abc => "/abc",
            Self::No => "/no",
            Self::Asd => "/asd",
            Self::Valid => "/valid",
            Self::TimeoutSocket => "/timeout_socket",
            Self::Interop => "/interop",
        }
    }

    /// Whether it speaks the events of the protocol suites.
    pub(crate) const fn is_basic(self, profile: Profile) -> bool {
        matches!((self, profile), (Self::Main, Profile::Protocol) | (Self::Custom, _))
    }

    /// Why this client may not join, if it may not.
    pub(crate) fn refusal(self, handshake: &Handshake, auth: Option<Json<'_>>) -> Option<Refusal> {
        let token = auth.and_then(|auth| auth.get("token")).and_then(Json::as_str);
        match self {
            Self::Main if handshake.has_parameter("fail") => {
                Some(Refusal { message: "Auth failed (main namespace)", data: None })
            }
            Self::No => Some(Refusal { message: "Auth failed (custom namespace)", data: None }),
            Self::Interop if token.as_deref() == Some("wrong") => {
                Some(Refusal { message: "Invalid token", data: Some(r#"{"code":"INVALID_TOKEN"}"#) })
            }
            _ => None,
        }
    }
}
